#include <subproc/subproc.hpp>

#include "children.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/use_future.hpp>
#include <doctest/doctest.h>

#include <future>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

TEST_SUITE("run") {

  TEST_CASE("run: status and both outputs are in the result") {
    const leak_check leaks;
    const completed_process done =
        run(command("sh", "-c", "echo out; echo err >&2; exit 3").out(piped).err(piped));
    CHECK(done.status.exit_code() == 3);
    CHECK(done.out == "out\n");
    CHECK(done.err == "err\n");
    CHECK(done.out_captured);
    CHECK(done.pid > 0);
  }

  TEST_CASE("run: a child that fills both pipes before it reads does not deadlock [T37]") {
    const leak_check leaks;
    const std::string big(1 << 20, 'x');
    const completed_process done =
        run(steps({"out:1000000", "err:1000000", "echo"}).capture_output().input(big));
    CHECK(done.out == pattern(1'000'000) + big);
    CHECK(done.err == pattern(1'000'000));
  }

  TEST_CASE("run: input that is not read is no error, and no SIGPIPE [T38]") {
    const leak_check leaks;
    const completed_process done = run(command("true").input(std::string(1 << 20, 'x')));
    CHECK(done.status.success());
  }

  TEST_CASE("run: at the time-out the child is gone and reaped, its output in the exception") {
    const leak_check leaks;
    try {
      run(command("sh", "-c", "echo part; exec sleep 600").out(piped).timeout(200ms));
      FAIL("no exception");
    } catch (const timeout_expired& error) {
      CHECK(error.timeout() == doctest::Approx(0.2));
      CHECK(error.result().status.signal() == SIGKILL);
      CHECK(error.result().timed_out);
      CHECK(std::string(error.what()).find("timed out after 0.2 seconds") != std::string::npos);
    }
    CHECK_FALSE(has_children());
  }

  TEST_CASE("run: a grandchild that holds the pipe is bounded by drain_timeout [T36]") {
    const leak_check leaks;
    test_pipe gate; // the grandchild ends when this closes
    const completed_process done = run(command("sh", "-c", "cat <&9 & echo now")
                                           .out(piped)
                                           .map_fds({{9, gate.read_end.get()}})
                                           .drain_timeout(50ms));
    CHECK(done.out == "now\n");
    CHECK(done.pipes_held);
    CHECK(done.status.success());
  }

  TEST_CASE("run: check and ok_codes say which status is an error") {
    CHECK_THROWS_AS(check_output({"false"}), called_process_error);
    CHECK_THROWS_AS(run(command("false").check()), called_process_error);
    CHECK_NOTHROW(run(command("false").check().ok_codes({0, 1})));
    CHECK(call({"false"}).exit_code() == 1);
    CHECK(check_output({"echo", "text"}) == "text\n");
  }

  TEST_CASE("run: getoutput drops one final newline") {
    CHECK(getoutput("printf 'a\\n\\n'") == "a\n");
    const auto [status, text] = getstatusoutput("echo err >&2; exit 4");
    CHECK(status.exit_code() == 4);
    CHECK(text == "err");
  }

  TEST_CASE("run: a limit is exact at its boundary [T42]") {
    const leak_check leaks;
    CHECK(run(steps({"out:1000"}).out(piped).limit(1000)).out.size() == 1000);
    CHECK_THROWS_AS(run(steps({"out:1001"}).out(piped).limit(1000)), operation_error);
    CHECK(run(steps({"out:1001"}).out(piped).limit(1000, overflow::tail)).out ==
          pattern(1001).substr(1));
  }

  TEST_CASE("run: a failed start names step and path and leaves nothing [T4] [T5]") {
    const leak_check leaks;
    for (int i = 0; i < times(300); ++i) {
      const spawn_error missing = spawn_error_of([] { run(command("/no/such").capture_output()); });
      CHECK(missing.code() == std::errc::no_such_file_or_directory);
      CHECK(missing.step() == spawn_step::exec);
      CHECK(missing.path() == "/no/such");
      const spawn_error cwd = spawn_error_of([] { run(command("/no/such").cwd("/nowhere")); });
      CHECK(cwd.step() == spawn_step::chdir);
      CHECK(cwd.path() == "/nowhere");
    }
  }

  TEST_CASE("run: every launcher gives the same") {
    const leak_check leaks;
    for (const launcher_kind kind :
         {launcher_kind::none, launcher_kind::vfork, launcher_kind::fork}) {
      CAPTURE(to_string(kind));
      const auto by = make_launcher(kind);
      CHECK(run(command("cat").input("text").out(piped).launcher(by)).out == "text");
      CHECK(spawn_error_of([&] { run(command("/no/such").launcher(by)); }).step() ==
            spawn_step::exec);
    }
  }

  TEST_CASE("run: blocking forms are safe from several threads at once") {
    const watchdog guard;
    std::vector<std::thread> threads;
    std::atomic<int> good = 0;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < times(50); ++i) {
          good += run(command("cat").input("x").out(piped)).out == "x" ? 1 : 0;
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(good == 8 * times(50));
  }

  TEST_CASE("run: the asynchronous forms give the same, and a cancelled one leaves no child") {
    const leak_check leaks;
    asio::io_context context;
    auto done = async_run(context, command("id").out(piped), asio::use_future);
    auto output = async_check_output(context, {"echo", "hi"}, asio::use_future);
    auto failed = async_check_call(context, {"false"}, asio::use_future);
    asio::cancellation_signal signal;
    bool cancelled = false;
    async_run(context, command("sleep", "600"),
              asio::bind_cancellation_slot(
                  signal.slot(), [&](std::exception_ptr error, const completed_process& result) {
                    cancelled = error && result.cancelled;
                  }));
    asio::post(context, [&] { signal.emit(asio::cancellation_type::terminal); });
    context.run();
    CHECK(done.get().out.starts_with("uid="));
    CHECK(output.get() == "hi\n");
    CHECK_THROWS_AS(failed.get(), called_process_error);
    CHECK(cancelled);
  }

  TEST_CASE("run: a stop ends the whole group, also members that ignore SIGTERM [T46]") {
    const leak_check leaks;
    asio::io_context context;
    process leader(context,
                   command("sh", "-c", "sh -c 'trap \"\" TERM; echo ready; exec sleep 600' & wait")
                       .out(piped)
                       .process_group(0));
    char ready[6];
    std::size_t got = 0;
    while (got < sizeof ready) {
      got += leader.out().read_some(asio::buffer(ready + got, sizeof ready - got));
    }
    stop_result stopped;
    leader.async_stop(100ms, [&](error_code ec, stop_result result) {
      CHECK_FALSE(ec);
      stopped = std::move(result);
    });
    context.run();
    CHECK(stopped.forced);
    CHECK(stopped.survivors.empty());
  }

  TEST_CASE("run: a pool keeps order when asked, and every result comes") {
    const leak_check leaks;
    asio::io_context context;
    int next = 0;
    std::vector<std::string> got;
    pool jobs(
        context, {.concurrency = 4, .keep_order = true},
        [&](command& cmd) {
          cmd = command("echo", std::to_string(next)).out(piped);
          return ++next > 20 ? next_command::end : next_command::ready;
        },
        [&](pool_result result) { got.push_back(result.process.out); });
    pool_summary all;
    jobs.async_run([&](std::exception_ptr error, pool_summary summary) {
      CHECK_FALSE(error);
      all = summary;
    });
    context.run();
    CHECK(all.succeeded == 20);
    REQUIRE(got.size() == 20);
    for (int i = 0; i < 20; ++i) {
      CHECK(got[static_cast<std::size_t>(i)] == std::to_string(i) + "\n");
    }
  }

} // TEST_SUITE
