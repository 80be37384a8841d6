#pragma once

// One communicate by either driver, on a loop or blocking, with the same answer.

#include <subproc/process.hpp>

#include "children.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <cstddef>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace subproc::test {

enum class way { loop, blocking };

struct outcome {
  error_code ec;
  communicate_result result;
};

inline outcome communicate(asio::io_context& context, process& child, way how,
                           std::string input = {}, std::optional<duration> limit = {}) {
  outcome got;
  if (how == way::loop) {
    int calls = 0;
    const auto handler = [&](error_code ec, communicate_result result) {
      ++calls;
      got = {ec, std::move(result)};
    };
    if (limit) {
      child.async_communicate(std::move(input), *limit, handler);
    } else {
      child.async_communicate(std::move(input), handler);
    }
    context.restart();
    context.run();
    CHECK(calls == 1);
    return got;
  }
  try {
    got.result =
        limit ? child.communicate(std::move(input), *limit) : child.communicate(std::move(input));
  } catch (const timeout_expired& error) {
    got.ec = asio::error::timed_out;
    if (error.result().inactive) {
      got.ec = errc::inactive;
    }
    CHECK(error.result().timed_out);
    CHECK(error.result().out == child.captured().out);
    CHECK(error.result().err == child.captured().err);
    got.result.out_held = error.result().out.size();
    got.result.err_held = error.result().err.size();
  } catch (const system_error& error) {
    got.ec = error.code();
    got.result.out_held = child.captured().out.size();
    got.result.err_held = child.captured().err.size();
  }
  return got;
}

template <class Body>
void in_both_ways(Body body) {
  for (const way how : {way::loop, way::blocking}) {
    CAPTURE(how == way::loop);
    asio::io_context context;
    body(context, how);
  }
}

/// Since the start of the program, or the last time that the peak was reset.
inline std::size_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "VmHWM:") {
      std::size_t kib = 0;
      status >> kib;
      return kib * 1024;
    }
  }
  return 0;
}

inline void reset_peak_resident_bytes() { std::ofstream("/proc/self/clear_refs") << 5; }

} // namespace subproc::test
