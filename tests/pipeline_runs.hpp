#pragma once

// What the tests of pipelines share: each is run blocking and on a loop.

#include "children.hpp"

#include <subproc/pipeline.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace subproc::test {

/// How it ended, by either form.
struct ending {
  std::exception_ptr error;
  pipeline_result result;
};

inline ending end_of(const pipeline& what, bool on_a_loop) {
  ending got;
  if (!on_a_loop) {
    try {
      got.result = run(what);
    } catch (const pipeline_error& error) {
      got = {std::current_exception(), error.pipeline()};
    } catch (...) {
      got.error = std::current_exception();
    }
    return got;
  }
  asio::io_context loop;
  int calls = 0;
  async_run(loop, what, [&](std::exception_ptr error, pipeline_result result) {
    ++calls;
    got = {std::move(error), std::move(result)};
  });
  loop.run();
  CHECK(calls == 1);
  return got;
}

template <class Check>
void in_both_forms(const pipeline& what, Check check) {
  for (const bool on_a_loop : {false, true}) {
    CAPTURE(on_a_loop);
    check(end_of(what, on_a_loop));
  }
}

template <class Error>
Error caught(const std::exception_ptr& error) {
  REQUIRE(error != nullptr);
  try {
    std::rethrow_exception(error);
  } catch (const Error& expected) {
    return expected;
  } catch (const std::exception& other) {
    FAIL("another error: ", std::string(other.what()));
  }
  throw std::logic_error("not reached");
}

/// A run on a loop that can be cancelled.
struct cancellable_pipeline {
  void start(asio::io_context& loop, const pipeline& what) {
    async_run(loop, what,
              asio::bind_cancellation_slot(
                  signal.slot(), [this](std::exception_ptr error, pipeline_result result) {
                    ++calls;
                    got = {std::move(error), std::move(result)};
                  }));
  }

  asio::cancellation_signal signal;
  int calls = 0;
  ending got;
};

/// Runs the loop until there is something to read.
inline void run_until_readable(asio::io_context& loop, native_handle_type pipe) {
  while (!has_bytes(pipe)) {
    loop.run_one_for(std::chrono::milliseconds(1));
  }
}

/// Returns once the child has written to an output of its own.
class telling_launcher final : public launcher {
public:
  launched_child start(const command& cmd) override {
    launched_child made = default_launcher()->start(cmd);
    REQUIRE(readable(made.err ? made.err.get() : made.out.get()));
    return made;
  }
};

inline command telling(command cmd) {
  return std::move(cmd).launcher(std::make_shared<telling_launcher>());
}

inline std::string shifted(std::string_view bytes, int by) {
  std::string text(bytes);
  for (char& byte : text) {
    byte = static_cast<char>(byte + by);
  }
  return text;
}

inline std::string plus_one(std::string_view bytes) { return shifted(bytes, 1); }
inline std::string less_one(std::string_view bytes) { return shifted(bytes, -1); }

} // namespace subproc::test
