#pragma once

// What the tests of fanout's page and test cases read them with.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace subproc::test {

inline std::string contents(const std::filesystem::path& file) {
  std::ifstream from(file, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(from), {});
}

inline std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != text.npos; at += what.size()) {
    ++count;
  }
  return count;
}

/// How often an element begins in markup whose elements all end. Fails for what is none: a
/// parser's care, for what fanout writes.
inline std::size_t elements(const std::string& text, const std::string& name,
                            const std::vector<std::string>& empty_ones = {}) {
  std::vector<std::string> open;
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find('<', at)) != text.npos;) {
    const std::size_t end = text.find('>', at);
    REQUIRE(end != text.npos);
    const std::string tag = text.substr(at + 1, end - at - 1);
    at = end + 1;
    REQUIRE(tag.find('<') == tag.npos);
    REQUIRE(count_of(tag, "\"") % 2 == 0);
    if (tag.starts_with('?') || tag.starts_with('!')) {
      continue;
    }
    const std::string found = tag.substr(0, tag.find_first_of(" \n/", 1));
    if (tag.starts_with('/')) {
      REQUIRE(!open.empty());
      REQUIRE(tag == "/" + open.back());
      open.pop_back();
      continue;
    }
    count += found == name ? 1 : 0;
    if (!tag.ends_with('/') &&
        std::find(empty_ones.begin(), empty_ones.end(), found) == empty_ones.end()) {
      open.push_back(found);
    }
  }
  CHECK(open.empty());
  return count;
}

inline std::size_t page_elements(const std::string& page, const std::string& name) {
  return elements(page, name, {"meta"});
}

} // namespace subproc::test
