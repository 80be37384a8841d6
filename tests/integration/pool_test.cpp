#include <subproc/pool.hpp>

#include "children.hpp"
#include "platform.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <future>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

using executors = std::vector<asio::any_io_executor>;

class thread_launcher final : public launcher {
public:
  launched_child start(const command& cmd) override {
    started_on.push_back(std::this_thread::get_id());
    return default_launcher()->start(cmd);
  }

  std::vector<std::thread::id> started_on;
};

} // namespace

TEST_SUITE("pool") {

  TEST_CASE("pool: what does not fit into the pipes is read while a command runs") {
    const leak_check leaks;
    asio::io_context context;
    std::size_t given = 0;
    std::size_t right = 0;
    constexpr std::size_t size = 300'000;
    pool jobs(
        context, {.concurrency = 2},
        [&](command& next) {
          next = steps({"out:" + std::to_string(size), "err:" + std::to_string(size), "exit:0"})
                     .capture_output();
          return given++ < 4 ? next_command::ready : next_command::end;
        },
        [&](const pool_result& result) {
          right += result.process.out.size() == size && result.process.err.size() == size ? 1 : 0;
        });
    jobs.async_run([](std::exception_ptr error, pool_summary) { CHECK_FALSE(error); });
    context.run();
    CHECK(right == 4);
  }

  TEST_CASE("pool: commands may be started on the threads of an executor") {
    const leak_check leaks;
    for (const bool here : {true, false}) {
      asio::io_context context;
      const auto who = std::make_shared<thread_launcher>();
      std::size_t ended = 0;
      pool jobs(context, {.concurrency = here ? 3U : 1U,
                          .job_executors = here ? executors{context.get_executor()} : executors()});
      for (int i = 0; i < 3; ++i) {
        jobs.async_submit(steps({"exit:0"}).launcher(who),
                          [&](std::exception_ptr error, const completed_process&) {
                            CHECK_FALSE(error);
                            ++ended;
                          });
      }
      context.run();
      CHECK(ended == 3);
      REQUIRE(who->started_on.size() == 3);
      for (const std::thread::id each : who->started_on) {
        CHECK((each == std::this_thread::get_id()) == here);
      }
    }
  }

  TEST_CASE("pool: of several job executors the one with the fewest commands has the next") {
    const leak_check leaks;
    asio::io_context context;
    std::array<asio::io_context, 2> loops;
    const auto who = std::make_shared<thread_launcher>();
    std::size_t ended = 0;
    pool jobs(context, {.concurrency = 4,
                        .job_executors = {loops[0].get_executor(), loops[1].get_executor()}});
    const auto submit = [&](const command& cmd) {
      jobs.async_submit(command(cmd).launcher(who),
                        [&](const std::exception_ptr&, const completed_process&) { ++ended; });
    };
    const auto poll = [](asio::io_context& loop) {
      loop.restart(); // it may have run out of work
      loop.poll();
    };
    const auto starts_of = [&](asio::io_context& loop) {
      const std::size_t before = who->started_on.size();
      poll(loop);
      return who->started_on.size() - before;
    };
    for (int i = 0; i < 2; ++i) {
      submit(unending_child());
      submit(steps({"exit:0"}));
    }
    poll(context);
    CHECK(starts_of(loops[0]) == 2);
    CHECK(starts_of(loops[1]) == 2);
    while (ended < 2) { // those of the second
      poll(loops[1]);
      poll(context);
    }
    submit(steps({"exit:0"}));
    submit(steps({"exit:0"}));
    poll(context);
    CHECK(starts_of(loops[0]) == 0);
    CHECK(starts_of(loops[1]) == 2);
    jobs.kill();
    while (ended < 6) {
      poll(loops[0]);
      poll(loops[1]);
      poll(context);
    }
  }

  TEST_CASE("pool: one that has nothing to do does not keep its loop") {
    const leak_check leaks;
    asio::io_context context;
    pool jobs(context);
    bool ended = false;
    jobs.async_submit(steps({"exit:0"}),
                      [&](std::exception_ptr, const completed_process&) { ended = true; });
    while (!ended) {
      context.run_one();
    }
    context.poll();
    CHECK(context.stopped());
  }

  TEST_CASE("pool: a start on the executor's threads that fails is a result like another") {
    asio::io_context context;
    pool jobs(context, {.concurrency = 1, .job_executors = {context.get_executor()}});
    int failed = 0;
    for (int i = 0; i < 2; ++i) {
      jobs.async_submit(command("/no/such/program"),
                        [&](std::exception_ptr error, const completed_process&) {
                          REQUIRE(error);
                          CHECK_THROWS_AS(std::rethrow_exception(error), spawn_error);
                          ++failed;
                        });
    }
    context.run();
    CHECK(failed == 2);
    CHECK(jobs.summary().failed == 2);
  }

  TEST_CASE("pool: what is stopped before the executor came to its start never starts") {
    asio::io_context context;
    asio::io_context busy; // comes to it later
    const auto who = std::make_shared<thread_launcher>();
    int cancelled = 0;
    pool jobs(context, {.concurrency = 3, .job_executors = {busy.get_executor()}});
    for (int i = 0; i < 3; ++i) {
      jobs.async_submit(steps({"exit:0"}).launcher(who),
                        [&](std::exception_ptr error, const completed_process& result) {
                          CHECK_THROWS_AS(std::rethrow_exception(error), operation_error);
                          cancelled += result.cancelled ? 1 : 0;
                        });
    }
    context.poll();
    jobs.kill();
    context.poll();
    CHECK(cancelled == 0);
    busy.run();
    context.run();
    CHECK(cancelled == 3);
    CHECK(who->started_on.empty());
  }

  TEST_CASE("pool: on many threads results come one at a time, as the pool's executor has it") {
    const leak_check leaks;
    asio::thread_pool threads(4);
    constexpr int count = 200;
    int given = 0;
    int right = 0; // by source and sink without a lock: they share a strand
    std::promise<pool_summary> done;
    pool jobs(
        asio::any_io_executor(asio::make_strand(threads.get_executor())),
        {.concurrency = 8, .job_executors = {threads.get_executor()}},
        [&](command& next) {
          next = steps({"out:7", "exit:0"}).capture_output();
          return given++ < count ? next_command::ready : next_command::end;
        },
        [&](const pool_result& result) { right += result.process.out.size() == 7 ? 1 : 0; });
    jobs.async_run([&](std::exception_ptr error, pool_summary all) {
      CHECK_FALSE(error);
      done.set_value(all);
    });
    CHECK(done.get_future().get().succeeded == count);
    CHECK(right == count);
    threads.join();
  }

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

  TEST_CASE("pool: what fails is run again, changed on the way, and the last try is the result") {
    const leak_check leaks;
    asio::io_context context;
    int given = 0;
    std::vector<unsigned> prepared;
    std::vector<pool_result> got;
    pool jobs(
        context,
        {.concurrency = 2,
         .prepare =
             [&](command& next, const job_try& which) {
               CHECK(which.sequence == 1);
               CHECK(which.slot == 1);
               prepared.push_back(which.number);
               if (which.number > 1) {
                 next = steps({"out:" + std::to_string(which.number),
                               which.number == 3 ? "exit:0" : "exit:9"})
                            .out(piped);
               }
             },
         .retry = {.retries = 5, .delay = 1ms}},
        [&](command& next) {
          next = steps({"exit:9"}).out(piped);
          return given++ == 0 ? next_command::ready : next_command::end;
        },
        [&](pool_result result) { got.push_back(std::move(result)); });
    pool_summary summary;
    jobs.async_run([&](std::exception_ptr error, pool_summary all) {
      CHECK_FALSE(error);
      summary = all;
    });
    context.run();
    REQUIRE(got.size() == 1);
    CHECK(got[0].ok());
    CHECK(got[0].tries == 3);
    CHECK(got[0].process.out == pattern(3));
    CHECK(prepared == std::vector<unsigned>{1, 2, 3});
    CHECK(summary.retried == 2);
    CHECK(summary.succeeded == 1);
    CHECK(summary.started == 1);
  }

  TEST_CASE("pool: what prepares a try may throw, which stops the pool") {
    const leak_check leaks;
    asio::io_context context;
    int results = 0;
    pool jobs(
        context,
        {.concurrency = 1,
         .prepare =
             [](command&, const job_try& which) {
               if (which.sequence == 2) {
                 throw std::runtime_error("no more");
               }
             }},
        [&](command& next) {
          next = steps({"exit:9"});
          return next_command::ready;
        },
        [&](const pool_result& result) {
          CHECK(result.why() == (++results == 1 ? failure_kind::status : failure_kind::cancelled));
        });
    bool thrown = false;
    jobs.async_run([&](std::exception_ptr error, const pool_summary&) {
      try {
        std::rethrow_exception(error);
      } catch (const std::runtime_error& why) {
        thrown = std::string(why.what()) == "no more";
      }
    });
    context.run();
    CHECK(thrown);
    CHECK(results == 2);
  }

  TEST_CASE("pool: how a command failed is told by its kind") {
    asio::io_context context;
    const std::vector<std::pair<command, failure_kind>> rows{
        {steps({"exit:0"}), failure_kind::none},
        {steps({"exit:3"}), failure_kind::status},
        {steps({"exit:3"}).check(), failure_kind::status},
        {steps({"exit:3"}).ok_codes({3}), failure_kind::none},
        {steps({"stay"}).timeout(10ms), failure_kind::timeout},
        {command("no-such-program-anywhere"), failure_kind::spawn},
        {command(""), failure_kind::spawn},
        {steps({"out:1000"}).out(piped).limit(10), failure_kind::output},
    };
    std::size_t given = 0;
    std::vector<failure_kind> got;
    pool jobs(
        context, {.concurrency = 4, .keep_order = true},
        [&](command& next) {
          if (given == rows.size()) {
            return next_command::end;
          }
          next = rows[given++].first;
          return next_command::ready;
        },
        [&](const pool_result& result) {
          got.push_back(result.why());
          CHECK(result.ok() == (result.why() == failure_kind::none));
        });
    jobs.async_run([](std::exception_ptr error, const pool_summary&) { CHECK_FALSE(error); });
    context.run();
    REQUIRE(got.size() == rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      CAPTURE(to_string(rows[i].first));
      CHECK(got[i] == rows[i].second);
    }
  }

  TEST_CASE("pool: a halt stops what runs, and starts nothing more") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    int given = 0;
    std::vector<failure_kind> got;
    pool jobs(
        context, {.concurrency = 3, .halt = {.what = halt_policy::action::now}},
        [&](command& next) {
          next = ++given == 3 ? steps({"exit:1"}) : steps({"stay"});
          return next_command::ready;
        },
        [&](const pool_result& result) { got.push_back(result.why()); });
    pool_summary summary;
    jobs.async_run([&](std::exception_ptr error, const pool_summary& all) {
      CHECK_FALSE(error);
      summary = all;
    });
    context.run();
    CHECK(got ==
          std::vector{failure_kind::status, failure_kind::cancelled, failure_kind::cancelled});
    CHECK(summary.halted);
    CHECK(summary.started == 3);
    CHECK(summary.failed == 3);
  }

  TEST_CASE("pool: commands are submitted one by one, and the urgent ones start first") {
    const leak_check leaks;
    asio::io_context context;
    pool jobs(context, {.concurrency = 1});
    std::vector<int> order;
    const auto submit = [&](int code, int priority) {
      jobs.async_submit(steps({"exit:" + std::to_string(code)}), {.priority = priority},
                        [&](std::exception_ptr error, const completed_process& result) {
                          CHECK_FALSE(error);
                          order.push_back(static_cast<int>(result.status.exit_code().value()));
                        });
    };
    submit(1, 0); // which starts at once
    submit(2, 0);
    submit(3, 9);
    submit(4, 0);
    submit(5, 9);
    context.run();
    CHECK(order == std::vector<int>{1, 3, 5, 2, 4});
    CHECK(jobs.summary().failed == 5);
  }

  TEST_CASE("pool: who waits for a submitted command may give it up before it starts or after") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    pool jobs(context, {.concurrency = 1});
    std::vector<int> ends;
    asio::cancellation_signal cancels[2];
    const auto submit = [&](int number, asio::cancellation_slot slot) {
      jobs.async_submit(
          steps({"stay"}),
          asio::bind_cancellation_slot(
              slot, [&ends, number](std::exception_ptr error, const completed_process& result) {
                REQUIRE(error);
                CHECK_THROWS_AS(std::rethrow_exception(error), operation_error);
                CHECK(result.cancelled);
                ends.push_back(number);
              }));
    };
    submit(1, cancels[0].slot());
    submit(2, cancels[1].slot());
    cancels[1].emit(asio::cancellation_type::total);
    while (ends.empty()) {
      context.run_one();
    }
    cancels[0].emit(asio::cancellation_type::total);
    context.run();
    CHECK(ends == std::vector{2, 1});
    CHECK(jobs.summary().started == 1);
  }

  TEST_CASE("pool: a closed pool does what it took, and refuses what comes") {
    const leak_check leaks;
    asio::io_context context;
    pool jobs(context, {.concurrency = 1});
    std::vector<std::string> events;
    const auto submit = [&] {
      jobs.async_submit(steps({"exit:0"}), [&](std::exception_ptr error, const completed_process&) {
        events.push_back(error ? "refused" : "done");
      });
    };
    submit();
    submit();
    jobs.close();
    submit();
    jobs.async_run([&](std::exception_ptr error, const pool_summary& all) {
      CHECK_FALSE(error);
      CHECK(all.succeeded == 2);
      events.push_back("over");
    });
    context.run();
    CHECK(events == std::vector<std::string>{"refused", "done", "done", "over"});
  }

  TEST_CASE("pool: what was submitted to a pool that goes completes as cancelled") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    std::optional<pool> jobs(std::in_place, context, pool_options{.concurrency = 1});
    int cancelled = 0;
    for (int i = 0; i < 3; ++i) {
      jobs->async_submit(steps({"stay"}),
                         [&](std::exception_ptr error, const completed_process& result) {
                           cancelled += error && result.cancelled ? 1 : 0;
                         });
    }
    while (jobs->running() == 0) {
      context.run_one();
    }
    jobs.reset();
    context.run();
    CHECK(cancelled == 3);
  }

  TEST_CASE("pool: a window is asked for again while it holds starts back") {
    const leak_check leaks;
    asio::io_context context;
    int asked = 0;
    std::size_t most = 0;
    int given = 0;
    pool jobs(
        context,
        {.concurrency = 8,
         .window =
             [&](const pool_summary& now) {
               most = std::max(most, now.running);
               return ++asked < 5 ? 0U : 2U;
             },
         .window_interval = 1ms},
        [&](command& next) {
          next = steps({"exit:0"});
          return given++ < 6 ? next_command::ready : next_command::end;
        },
        [](const pool_result&) {});
    jobs.async_run([](std::exception_ptr error, const pool_summary& all) {
      CHECK_FALSE(error);
      CHECK(all.succeeded == 6);
    });
    context.run();
    CHECK(asked > 5);
    CHECK(most <= 2);
  }

  TEST_CASE("pool: more or fewer may run from now on") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    pool jobs(
        context, {.concurrency = 1},
        [](command& next) {
          next = steps({"stay"});
          return next_command::ready;
        },
        [](const pool_result&) {});
    jobs.async_run([](std::exception_ptr, const pool_summary&) {});
    for (const std::size_t size : {1U, 5U, 7U}) {
      jobs.set_concurrency(size);
      while (jobs.running() < size) {
        context.run_one();
      }
      CHECK(jobs.running() == size);
    }
    jobs.kill();
    context.run();
  }

  TEST_CASE("pool: a try has so many times the median of the successes") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    int given = 0;
    std::vector<failure_kind> got;
    std::optional<duration> own;
    pool jobs(
        context, {.concurrency = 1, .keep_order = true, .timeout_factor = 20},
        [&](command& next) {
          next = ++given < 4 ? steps({"exit:0"}) : steps({"stay"}).timeout(1h);
          return given < 5 ? next_command::ready : next_command::end;
        },
        [&](const pool_result& result) {
          got.push_back(result.why());
          own = result.process.cmd.timeout();
        });
    jobs.async_run([](std::exception_ptr error, const pool_summary& all) {
      CHECK_FALSE(error);
      CHECK(all.median > duration());
    });
    context.run();
    REQUIRE(got.size() == 4);
    CHECK(got.back() == failure_kind::timeout);
    CHECK(own == duration(1h)); // the command is as it was given
  }

  TEST_CASE("pool: numbers that mean nothing are refused by the name of their option") {
    asio::io_context context;
    const auto refused = [&](pool_options options) -> std::string {
      try {
        pool jobs(context, std::move(options));
      } catch (const spawn_error& error) {
        CHECK(error.step() == spawn_step::arguments);
        return error.path();
      }
      return "";
    };
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK(refused({}) == "");
    CHECK(refused({.rate = -1}) == "rate");
    CHECK(refused({.rate = nan}) == "rate");
    CHECK(refused({.burst = 0}) == "burst");
    CHECK(refused({.job_executors = executors(1)}) == "job_executors");
    CHECK(refused({.timeout_factor = 0}) == "timeout_factor");
    CHECK(refused({.retry = {.factor = 0.5}}) == "retry.factor");
    CHECK(refused({.retry = {.jitter = 1.5}}) == "retry.jitter");
    CHECK(refused({.retry = {.delay = -1s}}) == "retry.delay");
    CHECK(refused({.retry = {.longest_delay = -1s}}) == "retry.longest_delay");
    CHECK(refused({.retry = {.on = failure_kind::cancelled}}) == "retry.on");
    CHECK(refused({.halt = {.count = 0}}) == "halt.count");
    CHECK(refused({.halt = {.percent = 101}}) == "halt.percent");
    CHECK(refused({.halt = {.grace = -1s}}) == "halt.grace");
    CHECK(refused({.window_interval = 0s}) == "window_interval");
  }

} // TEST_SUITE
