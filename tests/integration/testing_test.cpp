#include <subproc/testing.hpp>

#include <subproc/subproc.hpp>

#include "both_ways.hpp"
#include "children.hpp"
#include "stop_answer.hpp"
#include "wait_answers.hpp"

#include <asio/io_context.hpp>
#include <asio/use_future.hpp>
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
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
constexpr int kill_number = 9; // SIGKILL, a name that Windows has not

/// Another thread, which lets an hour or so pass once so many wait.
class later {
public:
  later(manual_clock& clock, std::size_t waiting, duration by = 1h)
      : thread_([&clock, waiting, by] {
          if (eventually([&] { return clock.waiting() >= waiting; })) {
            clock.advance(by);
          }
        }) {}
  ~later() { thread_.join(); }
  later(const later&) = delete;
  later& operator=(const later&) = delete;

private:
  std::thread thread_;
};

/// Until so many wait and the loop has seen what is there.
void run_until_waiting(asio::io_context& loop, const manual_clock& clock, std::size_t waiting) {
  while (clock.waiting() < waiting) {
    loop.run_one_for(1ms);
  }
  loop.poll();
}

/// The time-out that this ends with.
std::optional<timeout_expired> timeout_of(const std::function<void()>& body) {
  try {
    body();
    return std::nullopt;
  } catch (const timeout_expired& error) {
    return error;
  }
}

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

  TEST_CASE("testing: a time-out comes when the clock says so, and not before") {
    const leak_check leaks;
    const watchdog guard;
    manual_clock clock;
    const auto fake = std::make_shared<fake_launcher>(clock);
    fake->on(command("slow"), script().out("part").delay(2h));
    const command slow = command("slow").out(piped).timeout(1h).launcher(fake);
    const auto check = [](const std::optional<timeout_expired>& error) {
      REQUIRE(error);
      CHECK(error->timeout() == 3600);
      CHECK(error->result().out == "part");
      CHECK(error->result().status == killed());
      CHECK(error->result().elapsed == 1h);
    };
    check(timeout_of([&] {
      const later other(clock, 2);
      run(slow);
    }));
    asio::io_context loop;
    auto done = async_run(loop, slow, asio::use_future);
    run_until_waiting(loop, clock, 2);
    clock.advance(59min);
    loop.poll();
    CHECK(clock.waiting() == 2);
    CHECK(fake->calls().back().signals.empty());
    clock.advance(1min);
    loop.run();
    check(timeout_of([&] { done.get(); }));
    CHECK(clock.waiting() == 0);
  }

  TEST_CASE("testing: a child that ends before its time-out is in time by the clock") {
    const leak_check leaks;
    const watchdog guard;
    manual_clock clock;
    const auto fake = std::make_shared<fake_launcher>(clock);
    fake->on(command("slow"), script().delay(1h).out("done"));
    const later other(clock, 2);
    const completed_process done = run(command("slow").out(piped).timeout(2h).launcher(fake));
    CHECK(done.out == "done");
    CHECK(done.elapsed == 1h);
  }

  TEST_CASE("testing: a deadline is a time of the steady clock since the manual one was made") {
    const leak_check leaks;
    const watchdog guard;
    manual_clock clock;
    const auto fake = std::make_shared<fake_launcher>(clock);
    fake->on(command("slow"), script().delay(2h));
    const auto now = steady_clock::now();
    CHECK(timeout_of([&] { run(command("slow").deadline(now - 1h).launcher(fake)); }));
    const later other(clock, 2);
    CHECK(timeout_of([&] { run(command("slow").deadline(now + 1min).launcher(fake)); }));
  }

  TEST_CASE("testing: a communicate that the clock ends keeps the output, and can go on") {
    const leak_check leaks;
    const watchdog guard;
    in_both_ways([](asio::io_context& loop, way how) {
      manual_clock clock;
      const auto fake = std::make_shared<fake_launcher>(clock);
      fake->on(command("slow"), script().out("first").delay(90min).out(", last"));
      process child(loop, command("slow").out(piped).launcher(fake));
      {
        const later other(clock, 2);
        const outcome late = communicate(loop, child, how, {}, 1h);
        CHECK(late.ec == asio::error::timed_out);
        CHECK(late.result.out_held == 5);
      }
      CHECK(child.captured().out == "first");
      const later other(clock, 2);
      const outcome done = communicate(loop, child, how, {}, 2h);
      CHECK_FALSE(done.ec);
      CHECK(done.result.out == "first, last");
    });
  }

  TEST_CASE("testing: a child is silent by the clock") {
    const leak_check leaks;
    const watchdog guard;
    in_both_ways([](asio::io_context& loop, way how) {
      manual_clock clock;
      const auto fake = std::make_shared<fake_launcher>(clock);
      fake->on(command("silent"), script().delay(150min).out("at last"));
      process child(loop, command("silent").out(piped).inactivity_timeout(1h).launcher(fake));
      for (int i = 0; i < 2; ++i) {
        const later other(clock, 2);
        CHECK(communicate(loop, child, how).ec == errc::inactive);
      }
      const later other(clock, 2, 30min);
      CHECK(communicate(loop, child, how).result.out == "at last");
    });
  }

  TEST_CASE("testing: the grace of a stop passes by the clock") {
    const leak_check leaks;
    const watchdog guard;
    manual_clock clock;
    const auto fake = std::make_shared<fake_launcher>(clock);
    fake->on(command("deaf"), script().ignores(SIGTERM).ignores(SIGINT).forever());
    asio::io_context loop;
    process first(loop, command("deaf").launcher(fake));
    {
      const later other(clock, 1);
      CHECK(first.stop(1h).forced);
    }
    process second(loop, command("deaf").launcher(fake));
    stop_answer answer;
    second.async_stop({{SIGTERM, 30min}, {SIGINT, 10min}, {kill_number, 10min}}, answer.handler());
    run_until_waiting(loop, clock, 1);
    clock.advance(29min);
    loop.poll();
    CHECK(answer.calls == 0);
    clock.advance(1min);
    loop.poll();
    CHECK(answer.calls == 0);
    CHECK(clock.waiting() == 1);
    clock.advance(10min);
    loop.run();
    CHECK(answer.calls == 1);
    CHECK(answer.result.forced);
    CHECK(answer.result.signals == std::vector{SIGTERM, SIGINT, kill_number});
    // The stop that follows a run's time-out.
    const command polite =
        command("deaf").timeout(1h).stop_steps({{SIGTERM, 1h}, {kill_number, 1h}});
    const auto late = timeout_of([&] {
      std::thread other([&] {
        for (int i = 0; i < 2; ++i) {
          const later next(clock, 1);
        }
      });
      const struct end {
        std::thread& of;
        ~end() { of.join(); }
      } join{other};
      run(command(polite).launcher(fake));
    });
    REQUIRE(late);
    CHECK(late->result().forced);
    CHECK(late->result().elapsed == 2h);
  }

  TEST_CASE("testing: waits end by the clock") {
    const leak_check leaks;
    const watchdog guard;
    manual_clock clock;
    const auto fake = std::make_shared<fake_launcher>(clock);
    fake->on(command("hangs"), script().forever());
    asio::io_context loop;
    process child(loop, command("hangs").launcher(fake));
    std::vector<process> both;
    both.emplace_back(loop, command("hangs").launcher(fake));
    both.emplace_back(loop, command("hangs").launcher(fake));
    const auto waits = [&](const std::function<void()>& body) {
      const later other(clock, 1);
      body();
    };
    waits([&] { CHECK(timeout_of([&] { child.wait(1h); })); });
    waits([&] { CHECK_FALSE(wait_any(both, 1h)); });
    waits([&] { CHECK_FALSE(wait_all(both, 1h)); });
    answer waited;
    child.async_wait(1h, waited.handler());
    CHECK(clock.waiting() == 1);
    clock.advance(1h);
    CHECK(waited.calls == 0);
    while (waited.calls == 0) {
      loop.run_one();
    }
    CHECK(waited.ec == asio::error::timed_out);
    CHECK(clock.now() == 4h);
    CHECK(clock.waiting() == 0);
  }

  TEST_CASE("testing: what one advance makes due comes in its order") {
    const leak_check leaks;
    const watchdog guard;
    manual_clock clock;
    const auto fake = std::make_shared<fake_launcher>(clock);
    fake->on(command("hangs"), script().forever());
    asio::io_context loop;
    process child(loop, command("hangs").launcher(fake));
    std::vector<int> order;
    for (const int hours : {3, 1, 4, 2, 5, 2}) {
      child.async_wait(std::chrono::hours(hours), [&, hours](error_code ec, exit_status) {
        CHECK(ec == asio::error::timed_out);
        order.push_back(hours);
      });
    }
    CHECK(clock.waiting() == 6);
    clock.advance(4h);
    loop.poll();
    CHECK(order == std::vector{1, 2, 2, 3, 4});
    clock.advance(1h);
    loop.run();
    CHECK(order.back() == 5);
  }

  TEST_CASE("testing: a pipeline ends by the clock") {
    const leak_check leaks;
    const watchdog guard;
    manual_clock clock;
    const auto fake = std::make_shared<fake_launcher>(clock);
    fake->on(command("slow"), script().out("x").delay(2h));
    fake->on(command("wc"), script().read());
    const later other(clock, 3);
    try {
      run((command("slow").launcher(fake) | command("wc").launcher(fake)).timeout(1h));
      FAIL("ended");
    } catch (const pipeline_timeout& error) {
      CHECK(error.timeout() == 3600);
    }
  }

  TEST_CASE("testing: a pool's time-outs and retries come by the clock") {
    const leak_check leaks;
    const watchdog guard;
    manual_clock clock;
    const auto fake = std::make_shared<fake_launcher>(clock);
    fake->on(command("slow"), script().delay(2h));
    const command slow = command("slow").timeout(1h).launcher(fake);
    const pool_options options{
        .retry = {.retries = 1, .delay = 1h, .longest_delay = 1h, .jitter = 0}};
    const auto once = [slow, given = false](command& next) mutable {
      next = slow;
      return std::exchange(given, true) ? next_command::end : next_command::ready;
    };
    const auto let_it_time_out = [&](asio::io_context& loop, const pool& jobs) {
      run_until_waiting(loop, clock, 2);
      clock.advance(1h);
      while (jobs.summary().running != 0) {
        loop.run_one();
      }
      run_until_waiting(loop, clock, 1);
    };
    std::optional<pool_result> last;
    asio::io_context loop;
    pool jobs(loop, options, once, [&](pool_result result) { last = std::move(result); });
    jobs.async_run([](std::exception_ptr, const pool_summary&) {});
    let_it_time_out(loop, jobs);
    clock.advance(59min);
    loop.poll();
    CHECK(fake->calls().size() == 1);
    clock.advance(1min);
    run_until_waiting(loop, clock, 2);
    CHECK(fake->calls().size() == 2);
    clock.advance(1h);
    loop.run();
    REQUIRE(last);
    CHECK(last->why() == failure_kind::timeout);
    CHECK(last->tries == 2);
    CHECK(last->process.elapsed == 1h);
    CHECK(clock.waiting() == 0);
    { // One that waits for its next try goes with its loop.
      asio::io_context other;
      pool unfinished(other, options, once, [](const pool_result&) {});
      unfinished.async_run([](std::exception_ptr, const pool_summary&) {});
      let_it_time_out(other, unfinished);
      CHECK(clock.waiting() == 1);
    }
    CHECK(clock.waiting() == 0);
  }

  TEST_CASE("testing: children, loops and clocks go in any order, whatever still waits") {
    const leak_check leaks;
    const watchdog guard;
    const auto fake_of = [](const manual_clock& clock) {
      auto fake = std::make_shared<fake_launcher>(clock);
      fake->on(command("deaf"), script().ignores(SIGTERM).forever());
      return fake;
    };
    for (int i = 0; i < times(100); ++i) {
      manual_clock clock;
      std::atomic<bool> over = false;
      std::thread other([&] {
        while (!over) {
          clock.advance(1s);
        }
      });
      std::optional<asio::io_context> loop(std::in_place);
      std::optional<process> child(std::in_place, *loop,
                                   command("deaf").out(piped).launcher(fake_of(clock)));
      child->async_wait(duration(i * 10s), [](error_code, exit_status) {});
      child->async_communicate({}, 10s, [](error_code, const communicate_result&) {});
      child->async_stop(20s, [](error_code, const stop_result&) {});
      async_run(*loop, command("deaf").timeout(5s).launcher(fake_of(clock)),
                [](std::exception_ptr, const completed_process&) {});
      loop->poll();
      if (i % 3 == 0) {
        child.reset();
        loop->poll();
      }
      loop.reset();
      over = true;
      other.join();
    }
    std::optional<manual_clock> clock(std::in_place);
    asio::io_context loop;
    answer waited;
    process child(loop, command("deaf").launcher(fake_of(*clock)));
    child.async_wait(1h, waited.handler());
    manual_clock same = *clock;
    clock.reset();
    same.advance(1h);
    while (waited.calls == 0) {
      loop.run_one();
    }
    CHECK(waited.ec == asio::error::timed_out);
  }

} // TEST_SUITE
