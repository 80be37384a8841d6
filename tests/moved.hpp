#pragma once

#include <subproc/error.hpp>

#include <cstddef>

namespace subproc::test {

/// What the handler of a read or a write has been told.
struct moved {
  int calls = 0;
  error_code ec;
  std::size_t bytes = 0;

  auto handler() {
    return [this](error_code e, std::size_t n) {
      ++calls;
      ec = e;
      bytes = n;
    };
  }
};

} // namespace subproc::test
