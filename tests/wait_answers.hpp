#pragma once

// What the handlers of waits have been told.

#include <subproc/error.hpp>
#include <subproc/exit_status.hpp>

#include <cstddef>
#include <utility>
#include <vector>

namespace subproc::test {

struct answer {
  int calls = 0;
  error_code ec;
  exit_status status;

  auto handler() {
    return [this](error_code e, exit_status s) {
      ++calls;
      ec = e;
      status = s;
    };
  }
};

struct any_answer {
  int calls = 0;
  error_code ec;
  std::size_t index = 99;
  exit_status status;

  auto handler() {
    return [this](error_code e, std::size_t i, exit_status s) {
      ++calls;
      ec = e;
      index = i;
      status = s;
    };
  }
};

struct all_answer {
  int calls = 0;
  error_code ec;
  std::vector<exit_status> statuses;

  auto handler() {
    return [this](error_code e, std::vector<exit_status> all) {
      ++calls;
      ec = e;
      statuses = std::move(all);
    };
  }
};

} // namespace subproc::test
