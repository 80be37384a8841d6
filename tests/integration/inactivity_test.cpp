// inactivity_timeout: how a silent child ends communicate and the run family.

#include <subproc/pool.hpp>
#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "both_ways.hpp"
#include "children.hpp"
#include "ended.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <chrono>
#include <exception>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

TEST_SUITE("inactivity") {

  TEST_CASE("inactivity: a silent child ends communicate, is left alone, and nothing is lost") {
    const leak_check leaks;
    const watchdog guard;
    in_both_ways([](asio::io_context& context, way how) {
      test_pipe gate;
      process child(context,
                    with_descriptors(steps({"say:first", "byte:9", "echo", "warn:last", "exit:3"}),
                                     {{9, gate.read_end.get()}})
                        .in(piped)
                        .out(piped)
                        .err(piped)
                        .inactivity_timeout(5ms));
      std::string input = "input";
      do {
        const outcome silent = communicate(context, child, how, std::exchange(input, {}));
        CHECK(silent.ec == errc::inactive);
        CHECK(silent.ec == std::errc::timed_out);
        CHECK(silent.result.out_held == child.captured().out.size());
      } while (child.captured().out != "first\n"); // it may have been slow to start
      CHECK_FALSE(child.poll());
      gate.write_end.reset();
      outcome done = communicate(context, child, how);
      while (done.ec == errc::inactive) {
        done = communicate(context, child, how);
      }
      CHECK_FALSE(done.ec);
      CHECK(done.result.out == "first\ninput");
      CHECK(done.result.err == "last\n");
      CHECK(done.result.status == exit_status::from_code(3));
    });
  }

  TEST_CASE("inactivity: the run family kills the silent child and says for how long") {
    const leak_check leaks;
    const watchdog guard;
    const test_pipe never;
    const command cmd = steps({"say:here", "read:1"})
                            .in(fd(never.read_end.get()))
                            .out(piped)
                            .process_group(0)
                            .timeout(1h)
                            .inactivity_timeout(0.05s);
    const auto check = [](const timeout_expired& error) {
      CHECK(std::string(error.what()).ends_with("gave no output for 0.05 seconds."));
      CHECK(error.timeout() == 0.05);
      CHECK(error.result().inactive);
      CHECK(error.result().timed_out);
      CHECK(error.result().status == killed());
      return error.result().out;
    };
    const auto async = [&] {
      asio::io_context context;
      std::exception_ptr thrown;
      async_run(context, cmd, [&](std::exception_ptr error, const completed_process& result) {
        thrown = error;
        CHECK(result.inactive);
      });
      context.run();
      std::rethrow_exception(thrown);
    };
    for (const bool blocking : {true, false}) {
      std::string out;
      while (out.empty()) { // it may have been slow to start
        try {
          blocking ? static_cast<void>(run(cmd)) : async();
          FAIL("a success");
        } catch (const timeout_expired& error) {
          out = check(error);
        }
      }
      CHECK(out == "here\n");
    }
  }

  TEST_CASE("inactivity: a child that has ended or written is not silent, however late [T40]") {
    const leak_check leaks;
    const watchdog guard;
    // The limit is over before the first look.
    in_both_ways([](asio::io_context& context, way how) {
      process ended(context,
                    steps({"out:60000", "exit:8"}).out(piped).err(piped).inactivity_timeout(0s));
      REQUIRE(has_ended(ended));
      const outcome done = communicate(context, ended, how);
      CHECK_FALSE(done.ec);
      CHECK(done.result.out == pattern(60'000));
    });
    // The loop does other things while the child writes, and for longer than the limit.
    asio::io_context context;
    test_pipe gate;
    process child(context, with_descriptors(steps({"say:here", "byte:9", "exit:7"}),
                                            {{9, gate.read_end.get()}})
                               .out(piped)
                               .inactivity_timeout(100ms));
    outcome got;
    child.async_communicate([&](error_code ec, communicate_result result) {
      got = {ec, std::move(result)};
    });
    const auto over = std::chrono::steady_clock::now() + 100ms;
    REQUIRE(readable(child.out().native_handle()));
    std::this_thread::sleep_until(over + 5ms);
    while (child.captured().out.empty()) {
      context.run_one(); // the wake-up of the limit, or of the pipe: whichever comes first
    }
    gate.write_end.reset();
    REQUIRE(has_ended(child));
    context.run();
    CHECK_FALSE(got.ec);
    CHECK(got.result.status == exit_status::from_code(7));
  }

  TEST_CASE("inactivity: of two limits the one that is over first is told") {
    const leak_check leaks;
    const watchdog guard;
    const test_pipe never;
    const command silent = steps({"read:1"}).in(fd(never.read_end.get())).out(piped);
    in_both_ways([&](asio::io_context& context, way how) {
      process by_time(context, command(silent).timeout(1ms).inactivity_timeout(1h));
      CHECK(communicate(context, by_time, how).ec == asio::error::timed_out);
      process by_silence(context, command(silent).timeout(1h).inactivity_timeout(1ms));
      CHECK(communicate(context, by_silence, how).ec == errc::inactive);
    });
    try {
      run(command(silent).timeout(1ms).inactivity_timeout(1h));
      FAIL("a success");
    } catch (const timeout_expired& error) {
      CHECK_FALSE(error.result().inactive);
      CHECK(error.timeout() == 0.001);
    }
  }

  TEST_CASE("inactivity: a child that a full sink holds back is not to blame") {
    const leak_check leaks;
    const watchdog guard;
    in_both_ways([](asio::io_context& context, way how) {
      test_pipe sink;
      fill(sink);
      process child(context, steps({"out:1000000"})
                                 .out(subproc::tee(fd(sink.write_end.get())))
                                 .inactivity_timeout(5ms));
      REQUIRE(readable(child.out().native_handle()));
      CHECK(communicate(context, child, how, {}, 50ms).ec == asio::error::timed_out);
    });
  }

  TEST_CASE("inactivity: it is refused by name where nothing is captured") {
    const leak_check leaks;
    for (const command& cmd : {steps({}), steps({}).out(null).err(merge), steps({}).in(piped)}) {
      const spawn_error error = spawn_error_of([&] { run(command(cmd).inactivity_timeout(1h)); });
      CHECK(error.code() == std::errc::invalid_argument);
      CHECK(error.path() == "inactivity_timeout");
    }
    CHECK(check_output(steps({"say:x"}).inactivity_timeout(1h)) == "x\n");
    CHECK(run(steps({}).err(piped).inactivity_timeout(1h)).status.success());
    CHECK(run(steps({}).capture_output().inactivity_timeout(1h)).status.success());
  }

} // TEST_SUITE
