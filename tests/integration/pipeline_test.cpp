#include <subproc/subproc.hpp>

#include "children.hpp"
#include "ended.hpp"
#include "own_process.hpp"
#include "pipeline_runs.hpp"
#include "platform.hpp"

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <signal.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

/// Knows whom it has started.
class recording_launcher final : public launcher {
public:
  launched_child start(const command& cmd) override {
    launched_child made = default_launcher()->start(cmd);
    const std::lock_guard lock(mutex_);
    pids_.push_back(made.child->pid());
    if (cmd.pipe_size()) {
      pipes_.push_back(pipe_capacity(std::get<fd>(*cmd.out()).value));
    }
    return made;
  }

  /// Blocks until as many were started and have ended; they are left unreaped.
  void wait_for(std::size_t count) {
    REQUIRE(eventually([&] {
      const std::lock_guard lock(mutex_);
      return pids_.size() == count;
    }));
    for (const int pid : pids_) {
      REQUIRE(has_ended(pid));
    }
  }

  /// The capacities of those that its children write to.
  const std::vector<std::size_t>& pipes() const { return pipes_; }

private:
  std::mutex mutex_;
  std::vector<int> pids_;
  std::vector<std::size_t> pipes_;
};

std::function<std::string(std::string_view)> with_end(const std::string& end) {
  return [end](std::string_view bytes) { return bytes.empty() ? end : std::string(bytes); };
}

const std::size_t much = 3 * 1024 * 1024 + 17;

} // namespace

TEST_SUITE("pipeline") {

  TEST_CASE("pipeline: all bytes go from the first through every stage to the last") {
    const leak_check leaks;
    const pipeline what = steps({"out:" + std::to_string(much)}) | steps({"echo"}) |
                          steps({"echo"}) | steps({"echo"}).out(piped);
    in_both_forms(what, [](const ending& got) {
      CHECK_FALSE(got.error);
      CHECK(got.result.ok());
      CHECK(got.result.out() == pattern(much));
      CHECK(got.result.status.success());
      REQUIRE(got.result.stages.size() == 4);
      for (const completed_process& stage : got.result.stages) {
        CHECK(stage.status.success());
        CHECK(stage.pid > 0);
        CHECK(stage.elapsed.count() > 0);
      }
      CHECK(got.result.elapsed >= got.result.stages.front().elapsed);
      CHECK_FALSE(got.result.stages.front().out_captured);
    });
  }

  TEST_CASE("pipeline: both ends are what their commands say") {
    const leak_check leaks;
    const own_folder folder;
    in_both_forms(steps({"echo"}).input("b\na\n") | steps({"echo"}).out(file(folder / "copied")),
                  [&](const ending& got) {
                    CHECK(got.result.ok());
                    CHECK(folder.read("copied") == "b\na\n");
                  });
    folder.write("in", "x");
    in_both_forms(steps({"echo"}).in(file(folder / "in")) | steps({"count"}).out(piped),
                  [](const ending& got) { CHECK(got.result.out() == "1"); });
    in_both_forms(steps({"echo"}).in(null) |
                      steps({"count"}).out(subproc::tee(file(folder / "teed"))),
                  [&](const ending& got) {
                    CHECK(got.result.out() == "0");
                    CHECK(folder.read("teed") == "0");
                  });
  }

  TEST_CASE("pipeline: an input larger than all pipes is fed while the output is read") {
    const leak_check leaks;
    const std::string input = pattern(much);
    in_both_forms(steps({"echo"}).input(input) | steps({"echo"}).out(piped),
                  [&](const ending& got) { CHECK(got.result.out() == input); });
  }

  TEST_CASE("pipeline: each stage has its own stderr and status, one merged goes on in the pipe") {
    const leak_check leaks;
    in_both_forms((steps({"say:one", "warn:first", "exit:3"}) |
                   steps({"echo", "warn:second", "exit:4"}).err(merge) |
                   steps({"echo", "warn:third"}))
                      .capture_output(),
                  [](const ending& got) {
                    CHECK_FALSE(got.error);
                    REQUIRE(got.result.stages.size() == 3);
                    CHECK(got.result.stages[0].err == "first\n");
                    CHECK(got.result.stages[0].status.exit_code() == 3);
                    CHECK_FALSE(got.result.stages[1].err_captured);
                    CHECK(got.result.stages[1].status.exit_code() == 4);
                    CHECK(got.result.stages[2].err == "third\n");
                    CHECK(got.result.out() == "one\nsecond\n");
                    CHECK(got.result.status.success());
                  });
  }

  TEST_CASE("pipeline: check gives the failed stage and all others, by the policy") {
    const leak_check leaks;
    const pipeline what =
        (steps({"exit:3"}) | steps({"exit:4"}) | steps({"say:there"})).capture_output().check();
    in_both_forms(what, [](const ending& got) { CHECK_FALSE(got.error); });
    in_both_forms(pipeline(what).policy(pipeline_policy::pipefail), [](const ending& got) {
      const auto error = caught<called_process_error>(got.error);
      CHECK(error.result().status.exit_code() == 4);
      CHECK(error.result().out == "there\n");
      CHECK(got.result.stages.size() == 3);
      CHECK(got.result.failed == 1U);
    });
    in_both_forms(pipeline(what).policy(pipeline_policy::first_failed), [](const ending& got) {
      CHECK(got.result.status.exit_code() == 3);
      CHECK(std::string(caught<pipeline_failed>(got.error).what()).find("stage 1 of 3") !=
            std::string::npos);
    });
    const auto judge = [](const std::vector<completed_process>& stages) {
      return stages.size() == 3 ? std::optional<std::size_t>(0) : std::nullopt;
    };
    in_both_forms(pipeline(what).policy(judge),
                  [](const ending& got) { CHECK(got.result.failed == 0U); });
  }

  TEST_CASE("pipeline: what a judge throws is the error, with the result") {
    const leak_check leaks;
    const auto judge = [](const std::vector<completed_process>&) -> std::optional<std::size_t> {
      throw std::runtime_error("undecided");
    };
    in_both_forms((steps({"say:x"}) | steps({"echo"})).capture_output().policy(judge),
                  [](const ending& got) {
                    CHECK(std::string(caught<std::runtime_error>(got.error).what()) == "undecided");
                  });
  }

  TEST_CASE("pipeline: a stage that cannot start leaves none of the others, at every place [T44]") {
    const leak_check leaks;
    for (std::size_t place = 0; place < 3; ++place) {
      pipeline what;
      for (std::size_t i = 0; i < 3; ++i) {
        what |= i == place ? command("/nowhere/program") : steps({"stay"});
      }
      in_both_forms(what, [&](const ending& got) {
        const auto error = caught<pipeline_spawn_error>(got.error);
        CHECK(error.code() == std::errc::no_such_file_or_directory);
        CHECK(error.step() == spawn_step::exec);
        CHECK(error.path() == "/nowhere/program");
        CHECK(error.stage() == place);
        CHECK(error.cmd() == what.stages()[place]);
        CHECK(std::string(error.what()).find("stage " + std::to_string(place + 1) + " of 3") !=
              std::string::npos);
        CHECK(got.result.stages.empty());
        CHECK_FALSE(has_children());
      });
    }
  }

  TEST_CASE("pipeline: the ends of its pipes are no other child's [T13]") {
    const leak_check leaks;
    const watchdog guard;
    // A reader sees the end only when nobody else has the write end, be it for a moment too long.
    std::vector<std::thread> threads;
    std::atomic<int> good = 0;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&good, t] {
        for (int i = 0; i < starts(20); ++i) {
          const pipeline what = steps({"say:x"}) |
                                (t % 2 == 0 ? steps({"count"}) : steps({"echo"}).close_fds(false)) |
                                steps({"count"}).out(piped);
          good += run(what).out() == (t % 2 == 0 ? "1" : "2") ? 1 : 0;
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(good == 8 * starts(20));
  }

  TEST_CASE("pipeline: at the time-out all are stopped and reaped, the output is in the error") {
    const leak_check leaks;
    const test_pipe gate;
    const pipeline held = steps({"say:so far", "read:1"}).in(fd(gate.read_end.get())) |
                          steps({"echo"}) | telling(steps({"echo"}).out(piped));
    in_both_forms(pipeline(held).timeout(200ms).stop_steps({{SIGTERM, 5s}}), [](const ending& got) {
      const auto error = caught<timeout_expired>(got.error);
      CHECK(error.timeout() == 0.2);
      CHECK(got.result.timed_out);
      CHECK_FALSE(got.result.cancelled);
      CHECK(got.result.stages.size() == 3);
      CHECK(got.result.out() == "so far\n");
      CHECK(error.result().out == "so far\n");
      for (const completed_process& stage : got.result.stages) {
        CHECK(stage.status == terminated());
        CHECK_FALSE(is_running(stage.pid));
      }
      CHECK(std::string(error.what()).starts_with("Pipeline '"));
    });
  }

  TEST_CASE("pipeline: a deadline that has passed kills all, one stage's own time-out too") {
    const leak_check leaks;
    in_both_forms((steps({"stay"}) | steps({"stay"})).deadline(steady_clock::now()),
                  [](const ending& got) {
                    CHECK(caught<timeout_expired>(got.error).timeout() == 0);
                    CHECK(got.result.stages[0].status == killed());
                    CHECK(got.result.stages[1].status == killed());
                  });
    in_both_forms((steps({"stay"}) | steps({"stay"}).timeout(20ms) | steps({"stay"})).timeout(1h),
                  [](const ending& got) {
                    const auto error = caught<pipeline_timeout>(got.error);
                    CHECK(error.timeout() == 0.02);
                    CHECK(error.result().cmd.timeout() == 20ms);
                    CHECK(got.result.stages[0].status == killed());
                    CHECK(got.result.stages[2].status == killed());
                    CHECK(got.result.stages[0].cancelled);
                  });
  }

  TEST_CASE("pipeline: who has ended in time has succeeded, however late the loop is [T40]") {
    const leak_check leaks;
    const auto starter = std::make_shared<recording_launcher>();
    asio::io_context loop;
    ending got;
    async_run(loop,
              (steps({"say:done"}).launcher(starter) | steps({"echo"}).out(piped).launcher(starter))
                  .timeout(1ns),
              [&](std::exception_ptr error, pipeline_result result) {
                got = {std::move(error), std::move(result)};
              });
    starter->wait_for(2); // and leaves them to the loop
    loop.run();
    CHECK_FALSE(got.error);
    CHECK(got.result.out() == "done\n");
  }

  TEST_CASE("pipeline: a cancellation kills all and is told when they are gone") {
    const leak_check leaks;
    const test_pipe told;
    asio::io_context loop;
    cancellable_pipeline one;
    one.start(loop, steps({"yes"}).in(null) |
                        steps({"warn:ready", "stay"}).err(fd(told.write_end.get())) |
                        steps({"echo"}).out(piped));
    run_until_readable(loop, told.read_end.get());
    one.signal.emit(asio::cancellation_type::terminal);
    loop.run();
    CHECK(one.calls == 1);
    const auto error = caught<operation_error>(one.got.error);
    CHECK(error.code() == asio::error::operation_aborted);
    CHECK(one.got.result.cancelled);
    CHECK_FALSE(one.got.result.timed_out);
    REQUIRE(one.got.result.stages.size() == 3);
    CHECK(one.got.result.stages[1].status == killed());
  }

  TEST_CASE("pipeline: cancelled before or during its start it leaves nothing") {
    const leak_check leaks;
    for (int i = 0; i < starts(50); ++i) {
      asio::io_context loop;
      cancellable_pipeline one;
      one.start(loop, steps({"stay"}) | steps({"stay"}) | steps({"stay"}));
      for (int turn = 0; turn < i % 5; ++turn) {
        std::this_thread::yield();
      }
      one.signal.emit(asio::cancellation_type::partial);
      loop.run();
      CHECK(one.calls == 1);
      CHECK(caught<operation_error>(one.got.error).code() == asio::error::operation_aborted);
      CHECK(one.got.result.cancelled);
    }
  }

  TEST_CASE("pipeline: over the limit of a capture all are stopped, or the rest is dropped") {
    const leak_check leaks;
    in_both_forms(steps({"yes"}) | steps({"echo"}).out(piped).limit(1000), [](const ending& got) {
      const auto error = caught<pipeline_aborted>(got.error);
      CHECK(error.code() == errc::output_limit);
      CHECK(error.result().out.size() == 1000);
      CHECK(got.result.stages.size() == 2);
    });
    in_both_forms(steps({"stay"}) | steps({"eseq:100000"}).err(piped).limit(10),
                  [](const ending& got) {
                    CHECK(caught<operation_error>(got.error).code() == errc::output_limit);
                    CHECK(got.result.stages[0].status == killed());
                  });
    in_both_forms(steps({"seq:100000"}) | steps({"echo"}).out(piped).limit(4, overflow::head),
                  [](const ending& got) {
                    CHECK_FALSE(got.error);
                    CHECK(got.result.out() == "1\n2\n");
                    CHECK(got.result.stages[1].truncated());
                  });
  }

  TEST_CASE("pipeline: every kind of completion token gives the result") {
    const leak_check leaks;
    const pipeline what = steps({"say:x"}) | steps({"echo"}).out(piped);
    asio::io_context loop;
    std::string log;
    async_run(loop.get_executor(), what, [&](std::exception_ptr error, pipeline_result result) {
      log += error ? "error" : result.out();
    });
    auto future = async_run(loop, what, asio::use_future);
    async_run(loop, what, asio::detached);
    auto later = async_run(loop, what, deferred);
    std::move(later)([&](std::exception_ptr, pipeline_result result) { log += result.out(); });
    asio::co_spawn(
        loop,
        [&]() -> asio::awaitable<void> {
          const pipeline_result result = co_await async_run(loop, what, asio::use_awaitable);
          log += result.out();
          const auto [error, same] = co_await async_run(loop, what, as_tuple(asio::use_awaitable));
          log += error ? "error" : same.out();
          try {
            co_await async_run(loop, command("/nowhere") | what, asio::use_awaitable);
          } catch (const pipeline_spawn_error& failure) {
            log += std::to_string(failure.stage());
          }
        },
        asio::detached);
    loop.run();
    std::sort(log.begin(), log.end());
    CHECK(log == "\n\n\n\n0xxxx");
    CHECK(future.get().out() == "x\n");
  }

  TEST_CASE("pipeline: any threads may have the loop") {
    const leak_check leaks;
    std::atomic<int> good = 0;
    {
      asio::thread_pool pool(4);
      for (int i = 0; i < starts(40); ++i) {
        async_run(pool,
                  (steps({"out:200000", "err:1000"}) | steps({"echo"}) | steps({"count"}))
                      .capture_output(),
                  [&good](std::exception_ptr error, pipeline_result result) {
                    good += !error && result.out() == "200000" ? 1 : 0;
                  });
      }
      pool.join();
    }
    CHECK(good == starts(40));
  }

  TEST_CASE("pipeline: a loop that goes away takes the stages along") {
    const leak_check leaks;
    for (int i = 0; i < starts(20); ++i) {
      bool called = false;
      {
        asio::io_context loop;
        async_run(loop, steps({"stay"}) | steps({"stay"}) | steps({"echo"}).out(piped),
                  [&](std::exception_ptr, pipeline_result) { called = true; });
        if (i % 2 == 0) {
          loop.run_for(std::chrono::milliseconds(i));
        }
      }
      CHECK_FALSE(called);
    }
    CHECK(eventually([] { return !has_children(); }));
  }

  TEST_CASE("pipeline: a hook sees every stage before any is started, and may prevent all") {
    if (!in_own_process()) {
      return;
    }
    std::mutex mutex;
    std::string log;
    bool veto = false;
    add_audit_hook([&](const audit_event& event) {
      const std::lock_guard lock(mutex);
      if (event.kind == audit_kind::spawn) {
        log += "spawn " + event.cmd.args().back() + '\n';
        if (veto && event.cmd.args().back() == "echo") {
          throw std::runtime_error("not that");
        }
      } else if (event.kind == audit_kind::failed) {
        log += "failed " + event.cmd.args().back() + '\n';
      } else if (event.kind == audit_kind::started) {
        log += "started " + event.cmd.args().back() + '\n';
      }
    });
    run(steps({"exit:0"}) | steps({"echo"}));
    CHECK(log == "spawn exit:0\nspawn echo\nstarted exit:0\nstarted echo\n");
    log.clear();
    CHECK_THROWS_AS(run(steps({"exit:0"}) | command("/nowhere") | steps({"count"})), spawn_error);
    CHECK(log == "spawn exit:0\nspawn /nowhere\nspawn count\nstarted exit:0\nfailed /nowhere\n"
                 "failed count\n");
    log.clear();
    veto = true;
    CHECK_THROWS_WITH(run(steps({"exit:0"}) | steps({"echo"}) | steps({"count"})), "not that");
    CHECK(log == "spawn exit:0\nspawn echo\nfailed exit:0\n");
    CHECK_FALSE(has_children());
  }

  TEST_CASE("pipeline: a filter gets all bytes and one end, what it returns goes on") {
    const leak_check leaks;
    const pipeline what = steps({"out:" + std::to_string(much)}) | filter(plus_one) |
                          steps({"echo"}) | filter(less_one) | filter(with_end("!")) |
                          filter(with_end("?")) | steps({"echo"}).out(piped);
    in_both_forms(what, [](const ending& got) {
      CHECK_FALSE(got.error);
      CHECK(got.result.stages.size() == 3);
      CHECK(got.result.out() == pattern(much) + "!?");
    });
    in_both_forms(steps({}) | filter(with_end("only this")) | steps({"echo"}).out(piped),
                  [](const ending& got) { CHECK(got.result.out() == "only this"); });
  }

  TEST_CASE("pipeline: a filter is held back by a reader that does not read [T45]") {
    const leak_check leaks;
    const std::size_t all = 20 * 1024 * 1024;
    test_pipe gate;
    std::size_t seen = 0;
    const auto count = [&seen](std::string_view bytes) {
      seen += bytes.size();
      return std::string(bytes);
    };
    asio::io_context loop;
    auto done = async_run(
        loop,
        steps({"zeros:" + std::to_string(all)}) | filter(count) |
            with_descriptors(steps({"byte:3", "count"}), {{3, gate.read_end.get()}}).out(piped),
        asio::use_future);
    while (seen == 0 || loop.run_one_for(100ms) != 0) {
      loop.run_one_for(1ms);
    }
    CHECK(seen < 1024 * 1024);
    REQUIRE(write_byte(gate));
    loop.run();
    CHECK(done.get().out() == std::to_string(all));
    CHECK(seen == all);
  }

  TEST_CASE("pipeline: what a filter throws stops all stages and is the error") {
    const leak_check leaks;
    const auto refuse = [](std::string_view) -> std::string { throw std::runtime_error("no"); };
    in_both_forms(steps({"yes"}) | filter(refuse) | steps({"stay"}), [](const ending& got) {
      CHECK(std::string(caught<std::runtime_error>(got.error).what()) == "no");
      CHECK_FALSE(has_children());
    });
  }

  TEST_CASE("pipeline: a filter ends at the time-out") {
    const leak_check leaks;
    in_both_forms((steps({"yes"}) | filter(plus_one) | steps({"stay"})).timeout(50ms),
                  [](const ending& got) { caught<timeout_expired>(got.error); });
  }

  TEST_CASE("pipeline: filters of many at once on several threads") {
    const leak_check leaks;
    std::atomic<int> good = 0;
    {
      asio::thread_pool pool(4);
      for (int i = 0; i < starts(30); ++i) {
        async_run(pool,
                  steps({"out:300000"}) | filter(plus_one) | steps({"echo"}) | filter(less_one) |
                      steps({"count"}).out(piped),
                  [&good](std::exception_ptr error, pipeline_result result) {
                    good += !error && result.out() == "300000" ? 1 : 0;
                  });
      }
      pool.join();
    }
    CHECK(good == starts(30));
    bool called = false;
    {
      asio::io_context loop;
      async_run(loop, steps({"yes"}) | filter(plus_one) | steps({"stay"}),
                [&](std::exception_ptr, pipeline_result) { called = true; });
      loop.run_for(20ms);
    }
    CHECK_FALSE(called);
  }

  TEST_CASE("pipeline: one of a single stage is that command") {
    const leak_check leaks;
    in_both_forms(pipeline(steps({"print:x"}).out(piped)),
                  [](const ending& got) { CHECK(got.result.out() == "x"); });
    CHECK(run({helper("steps")}).status.success()); // not taken for a pipeline
  }

  TEST_CASE("pipeline: a pipe has the size that its writer asks for") {
    if (excused_without(feature::pipe_size, "pipe_size is refused")) {
      return;
    }
    const leak_check leaks;
    const auto starter = std::make_shared<recording_launcher>();
    run(steps({}).pipe_size(262144).launcher(starter) | steps({}).launcher(starter));
    CHECK(starter->pipes() == std::vector<std::size_t>{262144});
  }

} // TEST_SUITE
