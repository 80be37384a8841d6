// Pipelines of shells, of signals that a stage answers, of descriptors.

#include <subproc/subproc.hpp>

#include "children.hpp"
#include "own_process.hpp"
#include "pipeline_runs.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <signal.h>
#include <sys/resource.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

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

} // namespace

TEST_SUITE("pipeline") {

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

  TEST_CASE("pipeline: a stage has its streams open and nothing else [T13]") {
    const leak_check leaks;
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

  TEST_CASE("pipeline: a filter ends with its reader, and when all have ended") {
    const leak_check leaks;
    in_both_forms(steps({"yes"}) | filter(plus_one) | command("head", "-c", "2").out(piped),
                  [](const ending& got) {
                    CHECK(got.result.out() == "z\v");
                    CHECK(got.result.stages[0].status.signal() == SIGPIPE);
                  });
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

} // TEST_SUITE
