#pragma once

// A loop that goes on while a start stalls.

#include <subproc/process.hpp>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <doctest/doctest.h>

#include <chrono>
#include <exception>
#include <functional>
#include <utility>

namespace subproc::test {

/// The status of the child of `cmd`, whose start goes on only after `let_go`.
inline exit_status start_while_the_loop_turns(command cmd, const std::function<void()>& let_go) {
  asio::io_context context;
  exit_status status;
  bool started = false;
  async_spawn(context, std::move(cmd), [&](std::exception_ptr error, process child) {
    CHECK_FALSE(error);
    started = true;
    status = child.wait();
  });
  int ticks = 0;
  asio::steady_timer timer(context);
  std::function<void()> tick = [&] {
    if (++ticks == 10) {
      CHECK_FALSE(started);
      let_go();
    }
    if (!started) {
      timer.expires_after(std::chrono::milliseconds(1));
      timer.async_wait([&](error_code) { tick(); });
    }
  };
  tick();
  context.run();
  CHECK(ticks >= 10);
  return status;
}

} // namespace subproc::test
