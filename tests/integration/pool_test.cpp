#include <subproc/pool.hpp>

#include "children.hpp"
#include "platform.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <utility>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

TEST_SUITE("pool") {

  TEST_CASE("pool: a stop does not wait for who holds a pipe outside of the scope [T36]") {
    if (excused_without(feature::posix_shell, "its grandchild is a shell's")) {
      return;
    }
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    test_pipe gate;  // keeps the grandchild
    test_pipe ready; // it has written
    int given = 0;
    std::optional<pool_result> got;
    pool jobs(
        context, {.concurrency = 1},
        [&](command& next) {
          next = with_descriptors(shell("read x <&3 & echo text; echo >&4; wait").out(piped),
                                  {{3, gate.read_end.get()}, {4, ready.write_end.get()}});
          return given++ == 0 ? next_command::ready : next_command::end;
        },
        [&](pool_result result) { got = std::move(result); });
    int calls = 0;
    jobs.async_run([&](std::exception_ptr error, pool_summary summary) {
      ++calls;
      CHECK_FALSE(error);
      CHECK(summary.failed == 1);
    });
    while (!has_bytes(ready.read_end.get())) {
      context.run_one_for(1ms);
    }
    jobs.stop(1h);
    context.run();
    CHECK(calls == 1);
    REQUIRE(got);
    CHECK(got->process.cancelled);
    CHECK(got->process.pipes_held);
    CHECK(got->process.out == "text\n");
    CHECK(got->process.status == terminated());
  }

  TEST_CASE("pool: that a command was stopped is said in its exception too") {
    const leak_check leaks;
    asio::io_context context;
    test_pipe ready;
    int given = 0;
    std::optional<pool_result> got;
    pool jobs(
        context, {.concurrency = 1},
        [&](command& next) {
          next = steps({"warn:ready", "stay"}).err(fd(ready.write_end.get())).check();
          return given++ == 0 ? next_command::ready : next_command::end;
        },
        [&](pool_result result) { got = std::move(result); });
    jobs.async_run([](std::exception_ptr, pool_summary) {});
    while (!has_bytes(ready.read_end.get())) {
      context.run_one_for(1ms);
    }
    jobs.stop(1h);
    context.run();
    REQUIRE(got);
    CHECK(got->process.cancelled);
    REQUIRE(got->error);
    try {
      std::rethrow_exception(got->error);
    } catch (const called_process_error& error) {
      CHECK(error.result().cancelled);
    }
  }

  TEST_CASE("pool: nothing is called any more once it was destroyed") {
    const leak_check leaks;
    asio::io_context context;
    test_pipe gate;
    int given = 0;
    int results = 0;
    bool gone = false;
    std::optional<pool> jobs;
    jobs.emplace(
        context, pool_options{.concurrency = 3, .keep_order = true},
        [&](command& next) {
          CHECK_FALSE(gone);
          next = steps({++given == 1 ? "byte:0" : "exit:0"}).in(fd(gate.read_end.get()));
          return next_command::ready;
        },
        [&](const pool_result&) {
          ++results;
          CHECK_FALSE(gone);
          gone = true;
          jobs.reset(); // while the results behind this one wait for their turn
        });
    int calls = 0;
    jobs->async_run([&](std::exception_ptr error, pool_summary) {
      ++calls;
      CHECK(error);
    });
    while (given < 5) {
      context.run_one();
    }
    gate.write_end.reset();
    context.run();
    CHECK(results == 1);
    CHECK(calls == 1);
  }

} // TEST_SUITE
