#include <subproc/testing.hpp>

#include <subproc/subproc.hpp>

#include "children.hpp"

#include <asio/io_context.hpp>
#include <asio/use_future.hpp>
#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <signal.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

using testing::fake_launcher;
using testing::manual_clock;
using testing::script;

namespace {

const auto many_bytes = std::string(1 << 20, 'x');

} // namespace

TEST_SUITE("testing") {

  TEST_CASE("testing: a fake child writes, reads and ends as its script says") {
    const leak_check leaks;
    const auto fake = std::make_shared<fake_launcher>();
    fake->on(command("git", "log"), script().out("commit 1\n").err("warning\n").exit(3));
    fake->on(command("sort"), script().read().out("sorted"));
    fake->on(command("cat"), script().echo());
    const completed_process log = run(command("git", "log", "-1").capture_output().launcher(fake));
    CHECK(log.out == "commit 1\n");
    CHECK(log.err == "warning\n");
    CHECK(log.status.exit_code() == 3);
    CHECK(log.launched_by == launcher_kind::custom);
    CHECK(run(command("sort").input(many_bytes).out(piped).launcher(fake)).out == "sorted");
    CHECK(run(command("cat").input(many_bytes).out(piped).launcher(fake)).out == many_bytes);
    const auto calls = fake->calls();
    REQUIRE(calls.size() == 3);
    CHECK(calls[0].cmd == command("git", "log", "-1").capture_output());
    CHECK(calls[0].status == log.status);
    CHECK(calls[1].input == many_bytes);
    CHECK_FALSE(has_children());
  }

  TEST_CASE("testing: the last script that fits is taken, none is a program that is missing") {
    const leak_check leaks;
    const auto fake = std::make_shared<fake_launcher>();
    fake->on(command("a"), script().exit(1));
    fake->on(command("a", "b"), script().exit(2));
    fake->on([](const command& cmd) { return cmd.cwd() == "/x"; }, script().exit(3));
    CHECK(call(command("a").launcher(fake)).exit_code() == 1);
    CHECK(call(command("a", "b").launcher(fake)).exit_code() == 2);
    CHECK(call(command("a", "b").cwd("/x").launcher(fake)).exit_code() == 3);
    try {
      run(command("other").launcher(fake));
      FAIL("started");
    } catch (const spawn_error& error) {
      CHECK(error.code() == std::errc::no_such_file_or_directory);
      CHECK(error.path() == "other");
    }
    CHECK(fake->calls().size() == 4);
  }

  TEST_CASE("testing: a start fails as its script says") {
    const leak_check leaks;
    const auto fake = std::make_shared<fake_launcher>();
    fake->on(command("x"),
             script().cannot_start(std::errc::resource_unavailable_try_again, spawn_step::fork));
    try {
      run(command("x").launcher(fake));
      FAIL("started");
    } catch (const spawn_error& error) {
      CHECK(error.code() == std::errc::resource_unavailable_try_again);
      CHECK(error.step() == spawn_step::fork);
    }
  }

  TEST_CASE("testing: delays end when the clock is advanced, and not before") {
    const leak_check leaks;
    manual_clock clock;
    const auto fake = std::make_shared<fake_launcher>(clock);
    fake->on(command("slow"), script().out("at once").delay(1h).out(", late").delay(2h));
    asio::io_context loop;
    auto done = async_run(loop, command("slow").out(piped).launcher(fake), asio::use_future);
    const auto next = [&] {
      while (clock.waiting() == 0) {
        loop.run_one_for(1ms);
      }
    };
    next();
    clock.advance(59min);
    CHECK(clock.waiting() == 1);
    clock.advance(1min);
    next();
    CHECK(fake->calls().front().status == std::nullopt);
    clock.advance(2h);
    loop.run();
    CHECK(done.get().out == "at once, late");
    CHECK(clock.now() == 3h);
    CHECK(clock.waiting() == 0);
  }

  TEST_CASE("testing: signals end a fake child, unless its script ignores them") {
    const leak_check leaks;
    const auto fake = std::make_shared<fake_launcher>();
    fake->on(command("obeys"), script().forever());
    fake->on(command("deaf"), script().ignores(SIGTERM).forever());
    asio::io_context loop;
    process obeys(loop, command("obeys").launcher(fake));
    process deaf(loop, command("deaf").launcher(fake));
    CHECK(obeys.pid() != deaf.pid());
    CHECK_FALSE(is_running(obeys.pid()));
    CHECK(obeys.stop(1min).status == terminated());
    const stop_result stopped = deaf.stop(1ms);
    CHECK(stopped.status == killed());
    CHECK(stopped.forced);
    const auto calls = fake->calls();
    CHECK(calls[0].signals == std::vector<int>{SIGTERM});
    CHECK(calls[1].signals == signals_of_a_forced_stop());
  }

  TEST_CASE("testing: a time-out, a drop and a full pipe are as with a process") {
    const leak_check leaks;
    const auto fake = std::make_shared<fake_launcher>();
    fake->on(command("hangs"), script().out("part").forever());
    fake->on(command("writes"), script().out(many_bytes));
    try {
      run(command("hangs").out(piped).timeout(100ms).launcher(fake));
      FAIL("ended");
    } catch (const timeout_expired& error) {
      CHECK(error.result().status == killed());
    }
    asio::io_context loop;
    {
      const process dropped(loop, command("hangs").launcher(fake));
      process broken(loop, command("writes").out(piped).launcher(fake));
      broken.out().close();
      CHECK(broken.wait() == fake_without_reader());
    }
    CHECK(eventually([&] { return fake->calls()[1].status.has_value(); }));
    CHECK(run(command("writes").out(piped).launcher(fake)).out == many_bytes);
  }

  TEST_CASE("testing: a stop ends a fake child that is held up by somebody else's pipe") {
    const leak_check leaks;
    const watchdog guard;
    const auto fake = std::make_shared<fake_launcher>();
    fake->on(command("reads"), script().out("up").read());
    fake->on(command("writes"), script().out(many_bytes));
    const test_pipe silent;
    const test_pipe full;
    asio::io_context loop;
    process reads(loop, command("reads").in(fd(silent.read_end.get())).out(piped).launcher(fake));
    process writes(loop, command("writes").out(fd(full.write_end.get())).launcher(fake));
    CHECK(readable(reads.out().native_handle()));
    CHECK(readable(full.read_end.get()));
    CHECK(reads.stop(1min).status == terminated());
    CHECK(writes.stop(1min).status == terminated());
  }

  TEST_CASE("testing: a program that knows of no launcher gets fake children all the same") {
    const leak_check leaks;
    const auto fake = std::make_shared<fake_launcher>();
    const command fails = steps({"exit:1"});
    fake->on(fails, script());
    {
      const testing::use_launcher everywhere(fake);
      CHECK(run(fails).status.success());
      CHECK_THROWS_AS(testing::use_launcher{fake}, system_error);
    }
    CHECK(run(fails).status.exit_code() == 1);
    CHECK(fake->calls().size() == 1);
  }

  TEST_CASE("testing: fake children join pipelines and pools") {
    const leak_check leaks;
    const auto fake = std::make_shared<fake_launcher>();
    fake->on(command("zcat"), script().out(many_bytes));
    fake->on(command("wc"), script().read().out("1048576"));
    fake->on(command("yes"), script().out(std::string(1 << 22, 'y')));
    fake->on(command("head"), script().out("y"));
    const pipeline_result done = run(command("zcat").launcher(fake) | steps({"echo"}) |
                                     command("wc", "-c").out(piped).launcher(fake));
    CHECK(done.out() == "1048576");
    CHECK(fake->calls()[1].input == many_bytes);
    CHECK(run(command("yes").launcher(fake) | command("head").launcher(fake)).stages[0].status ==
          fake_without_reader());
    asio::io_context loop;
    int left = 50;
    int good = 0;
    pool jobs(
        loop, {.concurrency = 8},
        [&](command& next) {
          if (left == 0) {
            return next_command::end;
          }
          --left;
          next = command("wc").input("x").out(piped).launcher(fake);
          return next_command::ready;
        },
        [&](pool_result result) { good += result.process.out == "1048576" ? 1 : 0; });
    jobs.async_run([](std::exception_ptr, pool_summary) {});
    loop.run();
    CHECK(good == 50);
  }

} // TEST_SUITE
