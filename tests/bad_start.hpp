#pragma once

#include "children.hpp"

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <exception>
#include <string>
#include <system_error>

namespace subproc::test {

/// A command that cannot be started, and the error that has to say so.
struct bad_start {
  command cmd;
  std::errc code;
  spawn_step step;
  std::string path;
};

inline void check_error(const spawn_error& error, const bad_start& bad) {
  CHECK(error.code() == bad.code);
  CHECK(error.step() == bad.step);
  CHECK(error.path() == bad.path);
  const std::string words = error.what();
  if (bad.step != spawn_step::arguments) {
    CHECK_MESSAGE(words.find(to_string(bad.step)) != std::string::npos, words);
  }
  CHECK_MESSAGE(words.find(bad.path.substr(0, 200)) != std::string::npos, words);
}

// Starts it in each way there is: blocking, as an object, on a launcher thread.
inline void check_bad_start(const bad_start& bad) {
  CAPTURE(to_string(bad.cmd).substr(0, 80));
  CAPTURE(bad.step);
  asio::io_context context;
  check_error(spawn_error_of([&] { run(bad.cmd); }), bad);
  check_error(spawn_error_of([&] { process(context, bad.cmd); }), bad);
  std::exception_ptr got;
  async_spawn(context, bad.cmd, [&](std::exception_ptr error, process) { got = error; });
  context.run();
  REQUIRE(got);
  check_error(spawn_error_of([&] { std::rethrow_exception(got); }), bad);
}

} // namespace subproc::test
