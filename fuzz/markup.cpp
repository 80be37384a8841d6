// markup and head_of of fanout's reports: whatever a job wrote, the text is well-formed in HTML and
// XML 1.0, says the same where that can be said, and a cut leaves no part of a character.

#include "fuzz.hpp"

#include <fanout/markup.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace {

using fanout::head_of;
using fanout::markup;
using subproc::fuzz::choices;

std::string utf8(unsigned value) {
  const auto last = [&](unsigned sixes) {
    return static_cast<char>(0x80U | (value >> 6 * sixes & 0x3FU));
  };
  if (value < 0x80) {
    return {static_cast<char>(value)};
  }
  if (value < 0x800) {
    return {static_cast<char>(0xC0U | value >> 6U), last(0)};
  }
  if (value < 0x10000) {
    return {static_cast<char>(0xE0U | value >> 12U), last(1), last(0)};
  }
  return {static_cast<char>(0xF0U | value >> 18U), last(2), last(1), last(0)};
}

// Char of XML 1.0, section 2.2.
bool is_of_xml(unsigned value) {
  return value == 0x9 || value == 0xA || value == 0xD || (value >= 0x20 && value <= 0xD7FF) ||
         (value >= 0xE000 && value <= 0xFFFD) || (value >= 0x10000 && value <= 0x10FFFF);
}

// What these bytes begin with: one that, written anew, gives the same bytes.
std::optional<unsigned> first_character(std::string_view bytes) {
  for (std::size_t size = 1; size <= 4 && size <= bytes.size(); ++size) {
    unsigned value = static_cast<unsigned char>(bytes[0]);
    value &= size == 1 ? 0x7FU : 0x3FU >> (size - 1);
    for (const char byte : bytes.substr(1, size - 1)) {
      value = value << 6U | (static_cast<unsigned char>(byte) & 0x3FU);
    }
    if (is_of_xml(value) && utf8(value) == bytes.substr(0, size)) {
      return value;
    }
  }
  return std::nullopt;
}

bool is_text_of_xml(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto first = first_character(bytes);
    if (!first) {
      return false;
    }
    bytes.remove_prefix(utf8(*first).size());
  }
  return true;
}

// As a parser reads it; ends the run at what would be markup.
std::string read(std::string_view text) {
  constexpr std::pair<std::string_view, char> references[] = {{"&amp;", '&'},  {"&lt;", '<'},
                                                              {"&gt;", '>'},   {"&quot;", '"'},
                                                              {"&#39;", '\''}, {"&#13;", '\r'}};
  std::string all;
  while (!text.empty()) {
    HOLDS(std::string_view("<>\"'\r").find(text.front()) == std::string_view::npos);
    std::size_t size = 1;
    char meant = text.front();
    for (const auto& [reference, stands_for] : references) {
      if (text.starts_with(reference)) {
        size = reference.size();
        meant = stands_for;
      }
    }
    HOLDS(meant != '&' || size > 1);
    all += meant;
    text.remove_prefix(size);
  }
  return all;
}

// Each byte that begins no character is U+FFFD.
std::string expected(std::string_view bytes) {
  std::string all;
  while (!bytes.empty()) {
    const auto first = first_character(bytes);
    all += utf8(first.value_or(0xFFFD));
    bytes.remove_prefix(first ? utf8(*first).size() : 1);
  }
  return all;
}

void cut(std::string_view text, std::size_t most) {
  const std::string_view head = head_of(text, most);
  HOLDS(text.starts_with(head));
  HOLDS(head.size() <= most);
  HOLDS(head.size() + 4 >= std::min(most, text.size()));
  HOLDS(!is_text_of_xml(text) || is_text_of_xml(head));
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  choices given(data, size);
  const std::size_t most = given.below(256);
  const std::string bytes = given.rest();
  const std::string text = markup(bytes);
  HOLDS(is_text_of_xml(text));
  HOLDS(read(text) == expected(bytes));
  cut(bytes, most);
  cut(expected(bytes), most);
  return 0;
}
