#pragma once

// What the tests of a process object share: what must not be left behind, and the events of
// helpers.

// The platform's: test_pipe, leak_check, own_folder and so on.
#include "child_support.hpp"
#include "support.hpp"

#include <subproc/process.hpp>

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <vector>

namespace subproc::test {

/// The helper `steps` with what it has to do.
inline command steps(const std::vector<std::string>& what) {
  std::vector<std::string> args{helper("steps")};
  args.insert(args.end(), what.begin(), what.end());
  return command(args);
}

/// Preparation in the child that does nothing.
inline int succeed(void*) { return 0; }

/// What `steps out:N` writes.
inline std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    text[i] = static_cast<char>(i % 251);
  }
  return text;
}

/// What `seq 1 N` writes.
inline std::string numbers(int last) {
  std::string text;
  for (int i = 1; i <= last; ++i) {
    text += std::to_string(i) + '\n';
  }
  return text;
}

} // namespace subproc::test
