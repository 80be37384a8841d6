#pragma once

#include <subproc/error.hpp>
#include <subproc/stop.hpp>

#include <utility>

namespace subproc::test {

/// What the handler of a stop has been told.
struct stop_answer {
  int calls = 0;
  error_code ec;
  stop_result result;

  auto handler() {
    return [this](error_code e, stop_result r) {
      ++calls;
      ec = e;
      result = std::move(r);
    };
  }
};

} // namespace subproc::test
