#include <subproc/subproc.hpp>

#include "children.hpp"
#include "own_process.hpp"
#include "platform.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
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
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

/// How it ended, by either form.
struct ending {
  std::exception_ptr error;
  pipeline_result result;
};

ending end_of(const pipeline& what, bool on_a_loop) {
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
void run_until_readable(asio::io_context& loop, int descriptor) {
  while (!has_bytes(descriptor)) {
    loop.run_one_for(1ms);
  }
}

bool is_alive(int pid) { return ::kill(pid, 0) == 0; }

// A dead one may wait for a slow reaper of orphans.
bool still_runs(int pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string word;
  stat >> word >> word >> word; // its state is behind the name
  return stat && word != "Z" && word != "X";
}

class few_descriptors {
public:
  explicit few_descriptors(int most) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit now{static_cast<rlim_t>(most), before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
  few_descriptors(const few_descriptors&) = delete;
  few_descriptors& operator=(const few_descriptors&) = delete;
  ~few_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
  rlimit before_{};
};

// The limit under which just as many more can be opened.
int limit_for_more(const std::vector<int>& open, int more) {
  int limit = 0;
  for (int free = 0; free < more || std::ranges::binary_search(open, limit); ++limit) {
    free += std::ranges::binary_search(open, limit) ? 0 : 1;
  }
  return limit;
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

command telling(command cmd) {
  return std::move(cmd).launcher(std::make_shared<telling_launcher>());
}

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
      siginfo_t info{};
      REQUIRE(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == 0);
    }
  }

  /// The capacities of those that its children write to.
  const std::vector<std::size_t>& pipes() const { return pipes_; }

private:
  std::mutex mutex_;
  std::vector<int> pids_;
  std::vector<std::size_t> pipes_;
};

std::string shifted(std::string_view bytes, int by) {
  std::string text(bytes);
  for (char& byte : text) {
    byte = static_cast<char>(byte + by);
  }
  return text;
}

std::string plus_one(std::string_view bytes) { return shifted(bytes, 1); }
std::string less_one(std::string_view bytes) { return shifted(bytes, -1); }

std::function<std::string(std::string_view)> with_end(const std::string& end) {
  return [end](std::string_view bytes) { return bytes.empty() ? end : std::string(bytes); };
}

const std::size_t much = 3 * 1024 * 1024 + 17;

} // namespace

TEST_SUITE("pipeline") {

  TEST_CASE("pipeline: all bytes go from the first through every stage to the last") {
    const leak_check leaks;
    const pipeline what = steps({"out:" + std::to_string(much)}) | command("cat") | command("cat") |
                          steps({"echo"}).out(piped);
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
    in_both_forms(command("cat").input("b\na\n") | command("sort").out(file(folder / "sorted")),
                  [&](const ending& got) {
                    CHECK(got.result.ok());
                    CHECK(folder.read("sorted") == "a\nb\n");
                  });
    folder.write("in", "x");
    in_both_forms(command("cat").in(file(folder / "in")) | steps({"count"}).out(piped),
                  [](const ending& got) { CHECK(got.result.out() == "1"); });
    in_both_forms(command("cat").in(null) |
                      steps({"count"}).out(subproc::tee(file(folder / "teed"))),
                  [&](const ending& got) {
                    CHECK(got.result.out() == "0");
                    CHECK(folder.read("teed") == "0");
                  });
  }

  TEST_CASE("pipeline: an input larger than all pipes is fed while the output is read") {
    const leak_check leaks;
    const std::string input = pattern(much);
    in_both_forms(command("cat").input(input) | command("cat").out(piped),
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

  TEST_CASE("pipeline: a shell reads what it prints, and gives the same") {
    const pipeline what = command("printf", "%s\\n", "it's", "a  b", "|", "it's") |
                          command("sort") | command("uniq", "-c");
    CHECK(run(pipeline(what).capture_output()).out() == run(shell(to_string(what)).out(piped)).out);
  }

  TEST_CASE("pipeline: a writer whose reader has left dies of SIGPIPE [T44]") {
    const leak_check leaks;
    const pipeline what = steps({"yes"}) | command("head", "-n", "1").out(piped);
    in_both_forms(what, [](const ending& got) {
      CHECK(got.result.out() == "y\n");
      CHECK(got.result.stages[0].status.signal() == SIGPIPE);
      CHECK(got.result.ok());
    });
    in_both_forms(pipeline(what).policy(pipeline_policy::pipefail).check(), [](const ending& got) {
      CHECK(caught<pipeline_failed>(got.error).result().status.signal() == SIGPIPE);
      CHECK(got.result.failed == 0U);
      CHECK(got.result.out() == "y\n");
    });
    in_both_forms(pipeline(what).policy(pipeline_policy::pipefail).forgive_sigpipe().check(),
                  [](const ending& got) {
                    CHECK_FALSE(got.error);
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
    in_both_forms((steps({"say:x"}) | command("cat")).capture_output().policy(judge),
                  [](const ending& got) {
                    CHECK(std::string(caught<std::runtime_error>(got.error).what()) == "undecided");
                  });
  }

  TEST_CASE("pipeline: a stage that cannot start leaves none of the others, at every place [T44]") {
    const leak_check leaks;
    for (std::size_t place = 0; place < 3; ++place) {
      pipeline what;
      for (std::size_t i = 0; i < 3; ++i) {
        what |= i == place ? command("/nowhere/program") : unending_child();
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

  TEST_CASE("pipeline: with too few descriptors nothing is started, however few [T44]") {
    if (!in_own_process_without_sanitizer()) {
      return;
    }
    warm_up();
    const pipeline what = steps({"say:x"}) | command("cat") | command("cat").out(piped);
    for (const bool on_a_loop : {false, true}) {
      const std::vector<int> before = open_descriptors();
      int failures = 0;
      ending got;
      for (int more = 0; more < 40; ++more) {
        {
          const few_descriptors limit(limit_for_more(before, more));
          try {
            got = end_of(what, on_a_loop);
          } catch (const system_error& error) { // the loop itself cannot be made
            got.error = std::current_exception();
          }
        }
        REQUIRE(eventually([] { return !has_children() && !has_pidfds(); }));
        REQUIRE(open_descriptors() == before);
        if (!got.error) {
          break;
        }
        ++failures;
        CHECK(caught<system_error>(got.error).code() == std::errc::too_many_files_open);
      }
      CHECK_FALSE(got.error);
      CHECK(got.result.out() == "x\n");
      CHECK(failures > 3);
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
                                (t % 2 == 0 ? steps({"count"}) : command("cat").close_fds(false)) |
                                steps({"count"}).out(piped);
          good += run(what).out() == (t % 2 == 0 ? "1" : "2") ? 1 : 0;
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(good == 8 * starts(20));
    // What a stage has open: its streams.
    const auto listed = run(command(helper("descriptors"), "2").err(piped) |
                            command(helper("descriptors"), "2").err(piped) |
                            command(helper("descriptors"), "2").err(piped).out(null));
    for (const completed_process& stage : listed.stages) {
      CHECK(std::count(stage.err.begin(), stage.err.end(), '\n') >= 3);
      for (std::size_t at = 0; at < stage.err.size(); at = stage.err.find('\n', at) + 1) {
        const int number = std::stoi(stage.err.substr(at));
        CHECK(number <= 3); // its look at /proc
      }
    }
  }

  TEST_CASE("pipeline: at the time-out all are stopped and reaped, the output is in the error") {
    const leak_check leaks;
    const test_pipe gate;
    const pipeline held = steps({"say:so far", "read:1"}).in(fd(gate.read_end.get())) |
                          command("cat") | telling(command("cat").out(piped));
    in_both_forms(pipeline(held).timeout(200ms).stop_steps({{SIGTERM, 5s}}), [](const ending& got) {
      const auto error = caught<timeout_expired>(got.error);
      CHECK(error.timeout() == 0.2);
      CHECK(got.result.timed_out);
      CHECK_FALSE(got.result.cancelled);
      CHECK(got.result.stages.size() == 3);
      CHECK(got.result.out() == "so far\n");
      CHECK(error.result().out == "so far\n");
      for (const completed_process& stage : got.result.stages) {
        CHECK(stage.status.signalled());
        CHECK_FALSE(is_alive(stage.pid));
      }
      CHECK(std::string(error.what()).starts_with("Pipeline '"));
    });
  }

  TEST_CASE("pipeline: a deadline that has passed kills all, one stage's own time-out too") {
    const leak_check leaks;
    in_both_forms((unending_child() | unending_child()).deadline(steady_clock::now()),
                  [](const ending& got) {
                    CHECK(caught<timeout_expired>(got.error).timeout() == 0);
                    CHECK(got.result.stages[0].status == killed());
                    CHECK(got.result.stages[1].status == killed());
                  });
    in_both_forms(
        (unending_child() | unending_child().timeout(20ms) | unending_child()).timeout(1h),
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
    starter->wait_for(2);
    loop.run();
    CHECK_FALSE(got.error);
    CHECK(got.result.out() == "done\n");
  }

  TEST_CASE("pipeline: a stop lets every stage say its last, and nothing of it is lost") {
    const leak_check leaks;
    const auto talkative = [](const char* word) {
      return telling(shell("trap 'echo " + std::string(word) +
                           " >&2; exit 5' TERM; echo ready >&2; while :; do read x || :; done"));
    };
    const test_pipe gate;
    in_both_forms(
        (talkative("one").in(fd(gate.read_end.get())) | talkative("two") | talkative("three"))
            .capture_output()
            .stop_steps({{SIGTERM, 20s}, {SIGKILL, 5s}})
            .timeout(300ms),
        [](const ending& got) {
          caught<timeout_expired>(got.error);
          CHECK(got.result.stages[0].err == "ready\none\n");
          CHECK(got.result.stages[1].err == "ready\ntwo\n");
          CHECK(got.result.stages[2].err == "ready\nthree\n");
          for (const completed_process& stage : got.result.stages) {
            CHECK(stage.status.exit_code() == 5);
            CHECK_FALSE(stage.forced);
          }
        });
  }

  TEST_CASE(
      "pipeline: a stop takes the stages' own children, also of a stage that has ended [T46]") {
    const leak_check leaks;
    // The first leaves, its member holds the pipe: the second never sees an end.
    for (const char* const member_does : {"obeys", "ignores"}) {
      in_both_forms(
          (command(helper("family"), "leaves", member_does) | telling(steps({"echo"}).out(piped)))
              .own_groups()
              .timeout(200ms)
              .stop_steps({{SIGTERM, 10ms}, {SIGKILL, 5s}}),
          [](const ending& got) {
            caught<timeout_expired>(got.error);
            CHECK(got.result.stages[0].status.success());
            CHECK_FALSE(still_runs(std::stoi(got.result.out())));
          });
    }
  }

  TEST_CASE("pipeline: a cancellation kills all and is told when they are gone") {
    const leak_check leaks;
    const test_pipe told;
    asio::io_context loop;
    cancellable_pipeline one;
    one.start(loop,
              steps({"yes"}).in(null) |
                  with_descriptors(shell("echo ready >&3; exec cat"), {{3, told.write_end.get()}}) |
                  command("cat").out(piped));
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
      one.start(loop, unending_child() | unending_child() | unending_child());
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

  TEST_CASE("pipeline: cancellations are signals to every stage when asked for") {
    const leak_check leaks;
    const test_pipe told;
    const test_pipe gate;
    const auto talkative = [&](const char* word) {
      return with_descriptors(shell("trap 'echo int-" + std::string(word) +
                                    " >&2' INT; trap 'exit 7' TERM; echo ready >&3; "
                                    "while :; do read x || :; done"),
                              {{3, told.write_end.get()}});
    };
    asio::io_context loop;
    cancellable_pipeline one;
    one.start(loop, (talkative("a").in(fd(gate.read_end.get())) | talkative("b"))
                        .capture_output()
                        .own_groups()
                        .cancel_signals());
    for (std::string ready; ready.size() < 12;) {
      run_until_readable(loop, told.read_end.get());
      ready += read_once(told.read_end.get());
    }
    one.signal.emit(asio::cancellation_type::total);
    loop.run_for(20ms);
    CHECK(one.calls == 0);
    one.signal.emit(asio::cancellation_type::partial);
    loop.run();
    CHECK(one.calls == 1);
    for (const completed_process& stage : one.got.result.stages) {
      CHECK(stage.status.exit_code() == 7);
    }
    CHECK(one.got.result.stages[0].err == "int-a\n");
    CHECK(one.got.result.stages[1].err == "int-b\n");
  }

  TEST_CASE("pipeline: over the limit of a capture all are stopped, or the rest is dropped") {
    const leak_check leaks;
    in_both_forms(steps({"yes"}) | command("cat").out(piped).limit(1000), [](const ending& got) {
      const auto error = caught<pipeline_aborted>(got.error);
      CHECK(error.code() == errc::output_limit);
      CHECK(error.result().out.size() == 1000);
      CHECK(got.result.stages.size() == 2);
    });
    in_both_forms(unending_child() | steps({"eseq:100000"}).err(piped).limit(10),
                  [](const ending& got) {
                    CHECK(caught<operation_error>(got.error).code() == errc::output_limit);
                    CHECK(got.result.stages[0].status == killed());
                  });
    in_both_forms(steps({"seq:100000"}) | command("cat").out(piped).limit(4, overflow::head),
                  [](const ending& got) {
                    CHECK_FALSE(got.error);
                    CHECK(got.result.out() == "1\n2\n");
                    CHECK(got.result.stages[1].truncated());
                  });
  }

  TEST_CASE("pipeline: a grandchild that holds the last pipe is bounded by drain_timeout") {
    const leak_check leaks;
    in_both_forms(
        (steps({"say:x"}) | shell("cat; sleep 1000 &").out(piped).drain_timeout(50ms)).own_groups(),
        [](const ending& got) {
          CHECK_FALSE(got.error);
          CHECK(got.result.out() == "x\n");
          CHECK(got.result.stages[1].pipes_held);
          ::kill(-got.result.stages[1].pid, SIGKILL);
        });
  }

  TEST_CASE("pipeline: every kind of completion token gives the result") {
    const leak_check leaks;
    const pipeline what = steps({"say:x"}) | command("cat").out(piped);
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
                  (steps({"out:200000", "err:1000"}) | command("cat") | steps({"count"}))
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
        async_run(loop, unending_child() | unending_child() | command("cat").out(piped),
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
        log += "spawn " + event.cmd.args().front() + '\n';
        if (veto && event.cmd.args().front() == "cat") {
          throw std::runtime_error("not that");
        }
      } else if (event.kind == audit_kind::failed) {
        log += "failed " + event.cmd.args().front() + '\n';
      } else if (event.kind == audit_kind::started) {
        log += "started " + event.cmd.args().front() + '\n';
      }
    });
    run(command("true") | command("cat"));
    CHECK(log == "spawn true\nspawn cat\nstarted true\nstarted cat\n");
    log.clear();
    CHECK_THROWS_AS(run(command("true") | command("/nowhere") | command("sort")), spawn_error);
    CHECK(log == "spawn true\nspawn /nowhere\nspawn sort\nstarted true\nfailed /nowhere\n"
                 "failed sort\n");
    log.clear();
    veto = true;
    CHECK_THROWS_WITH(run(command("true") | command("cat") | command("sort")), "not that");
    CHECK(log == "spawn true\nspawn cat\nfailed true\n");
    CHECK_FALSE(has_children());
  }

  TEST_CASE("pipeline: a filter gets all bytes and one end, what it returns goes on") {
    const leak_check leaks;
    const pipeline what = steps({"out:" + std::to_string(much)}) | filter(plus_one) |
                          command("cat") | filter(less_one) | filter(with_end("!")) |
                          filter(with_end("?")) | steps({"echo"}).out(piped);
    in_both_forms(what, [](const ending& got) {
      CHECK_FALSE(got.error);
      CHECK(got.result.stages.size() == 3);
      CHECK(got.result.out() == pattern(much) + "!?");
    });
    in_both_forms(command("true") | filter(with_end("only this")) | command("cat").out(piped),
                  [](const ending& got) { CHECK(got.result.out() == "only this"); });
  }

  TEST_CASE("pipeline: a filter is held back by a reader that does not read [T45]") {
    const leak_check leaks;
    const std::size_t all = 20 * 1024 * 1024;
    const test_pipe gate;
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
    REQUIRE(::write(gate.write_end.get(), "x", 1) == 1);
    loop.run();
    CHECK(done.get().out() == std::to_string(all));
    CHECK(seen == all);
  }

  TEST_CASE("pipeline: what a filter throws stops all stages and is the error") {
    const leak_check leaks;
    const auto refuse = [](std::string_view) -> std::string { throw std::runtime_error("no"); };
    in_both_forms(steps({"yes"}) | filter(refuse) | unending_child(), [](const ending& got) {
      CHECK(std::string(caught<std::runtime_error>(got.error).what()) == "no");
      CHECK_FALSE(has_children());
    });
  }

  TEST_CASE("pipeline: a filter ends with its reader, at the time-out and when all have ended") {
    const leak_check leaks;
    in_both_forms(steps({"yes"}) | filter(plus_one) | command("head", "-c", "2").out(piped),
                  [](const ending& got) {
                    CHECK(got.result.out() == "z\v");
                    CHECK(got.result.stages[0].status.signal() == SIGPIPE);
                  });
    in_both_forms((steps({"yes"}) | filter(plus_one) | unending_child()).timeout(50ms),
                  [](const ending& got) { caught<timeout_expired>(got.error); });
    // What the member of a stage that has ended may write is waited for by nobody.
    in_both_forms((command(helper("family"), "leaves", "obeys") | filter(plus_one) |
                   command("head", "-c", "1").out(piped))
                      .own_groups(),
                  [](const ending& got) {
                    CHECK_FALSE(got.error);
                    CHECK(got.result.out().size() == 1);
                    ::kill(-got.result.stages[0].pid, SIGKILL);
                  });
  }

  TEST_CASE("pipeline: filters of many at once on several threads") {
    const leak_check leaks;
    std::atomic<int> good = 0;
    {
      asio::thread_pool pool(4);
      for (int i = 0; i < starts(30); ++i) {
        async_run(pool,
                  steps({"out:300000"}) | filter(plus_one) | command("cat") | filter(less_one) |
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
      async_run(loop, steps({"yes"}) | filter(plus_one) | unending_child(),
                [&](std::exception_ptr, pipeline_result) { called = true; });
      loop.run_for(20ms);
    }
    CHECK_FALSE(called);
  }

  TEST_CASE("pipeline: one of a single stage is that command") {
    const leak_check leaks;
    in_both_forms(pipeline(command("printf", "x").out(piped)),
                  [](const ending& got) { CHECK(got.result.out() == "x"); });
    CHECK(run({"true"}).status.success()); // not taken for a pipeline
  }

  TEST_CASE("pipeline: a pipe has the size that its writer asks for") {
    if (excused_without(feature::pipe_size, "pipe_size is refused")) {
      return;
    }
    const leak_check leaks;
    const auto starter = std::make_shared<recording_launcher>();
    run(command("true").pipe_size(262144).launcher(starter) | command("true").launcher(starter));
    CHECK(starter->pipes() == std::vector<std::size_t>{262144});
  }

} // TEST_SUITE
