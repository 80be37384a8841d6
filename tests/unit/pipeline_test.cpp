#include <subproc/pipeline.hpp>

#include "pipeline_operation.hpp"

#include "../platform.hpp"
#include "support.hpp"

#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;

namespace {

std::vector<completed_process> ended_with(const std::vector<exit_status>& statuses) {
  std::vector<completed_process> stages;
  for (const exit_status& status : statuses) {
    stages.emplace_back().status = status;
  }
  return stages;
}

const exit_status good = exit_status::from_code(0);
const exit_status bad = exit_status::from_code(1);
const exit_status broken = exit_status::from_signal(13);

pipeline of(std::size_t count) {
  pipeline made;
  for (std::size_t i = 0; i < count; ++i) {
    made |= command("x");
  }
  return made;
}

std::optional<std::size_t> blamed(pipeline_policy policy, const std::vector<exit_status>& statuses,
                                  bool forgive = false) {
  return of(statuses.size()).policy(policy).forgive_sigpipe(forgive).blame(ended_with(statuses));
}

void check_stage_refused(const pipeline& what, std::size_t stage, const char* option) {
  try {
    detail::stage_commands(what);
    FAIL("not refused: ", std::string(option));
  } catch (const pipeline_spawn_error& error) {
    CHECK(error.code() == std::errc::invalid_argument);
    CHECK(error.step() == spawn_step::arguments);
    CHECK(error.path() == option);
    CHECK(error.stage() == stage);
    CHECK(error.cmd() == what.stages()[stage]);
  }
}

} // namespace

TEST_SUITE("pipeline") {

  TEST_CASE("pipeline: every option reads back what was set") {
    const std::vector<stop_step> steps{{15, 1s}};
    const auto when = steady_clock::now();
    const pipeline set = (command("a") | command("b"))
                             .timeout(2s)
                             .deadline(when)
                             .check()
                             .policy(pipeline_policy::pipefail)
                             .forgive_sigpipe()
                             .capture_output()
                             .own_groups()
                             .stop_steps(steps)
                             .cancel_signals();
    CHECK(set.timeout() == 2s);
    CHECK(set.deadline() == when);
    CHECK(set.checked());
    CHECK(set.policy() == pipeline_policy::pipefail);
    CHECK(set.forgives_sigpipe());
    CHECK(set.captures_output());
    CHECK(set.has_own_groups());
    CHECK(set.stop_steps() == steps);
    CHECK(set.has_cancel_signals());
    const pipeline plain = command("a") | command("b");
    CHECK(plain.policy() == pipeline_policy::last);
    CHECK_FALSE(plain.timeout());
    CHECK_FALSE(plain.checked());
    CHECK(plain != set);
    CHECK(pipeline(set) == set);
  }

  TEST_CASE("pipeline: commands and pipelines are joined in any grouping, options of both count") {
    const command a("a");
    const command b("b");
    const command c("c");
    const std::vector<command> all{a, b, c};
    CHECK((a | b | c).stages() == all);
    CHECK((a | (b | c)).stages() == all);
    CHECK(((a | b) | c) == (a | (b | c)));
    pipeline made;
    for (const command& each : all) {
      made |= each;
    }
    CHECK(made == (a | b | c));
    const pipeline joined = (a | b).timeout(1s).policy(pipeline_policy::pipefail) |
                            pipeline(c).timeout(2s).check().policy(pipeline_policy::first_failed);
    CHECK(joined.timeout() == 1s);
    CHECK(joined.policy() == pipeline_policy::pipefail);
    CHECK(joined.checked());
    CHECK((a | pipeline(c).policy(pipeline_policy::last) |
           pipeline(b).policy(pipeline_policy::pipefail))
              .policy() == pipeline_policy::last);
  }

  TEST_CASE("pipeline: prints as a shell would read it") {
    const pipeline what = command("printf", "a b|c") | command("grep", "it's");
    CHECK(to_string(what) == "printf 'a b|c' | grep 'it'\"'\"'s'");
    std::ostringstream os;
    os << what;
    CHECK(os.str() == to_string(what));
    CHECK(to_string(pipeline()).empty());
    const filter same([](std::string_view bytes) { return std::string(bytes); });
    CHECK(to_string(command("a") | (same | command("b"))) == "a | {filter} | b");
    CHECK((command("a") | same | command("b")).filters(1) == std::vector<filter>{same});
    CHECK((command("a") | same | command("b")) == (command("a") | (same | command("b"))));
  }

  TEST_CASE("pipeline: the policy tells which stage is to blame [T44]") {
    using enum pipeline_policy;
    CHECK_FALSE(blamed(last, {bad, broken, good}));
    CHECK(blamed(last, {good, bad}) == 1U);
    CHECK_FALSE(blamed(pipefail, {good, good, good}));
    CHECK(blamed(pipefail, {bad, bad, good}) == 1U);
    CHECK(blamed(pipefail, {bad, good, bad}) == 2U);
    CHECK(blamed(first_failed, {good, bad, bad}) == 1U);
    CHECK(blamed(first_failed, {bad, good, good}) == 0U);
    CHECK(blamed(pipefail, {exit_status(), good}) == 0U); // unknown is no success
  }

  TEST_CASE("pipeline: SIGPIPE is a failure, as in a shell, unless it is forgiven [T44]") {
    if (test::excused_without(test::feature::signals, "nobody dies of SIGPIPE here")) {
      return;
    }
    using enum pipeline_policy;
    CHECK(blamed(pipefail, {broken, good}) == 0U);
    CHECK_FALSE(blamed(pipefail, {broken, good}, true));
    CHECK_FALSE(blamed(first_failed, {broken, broken, good}, true));
    CHECK(blamed(first_failed, {broken, bad, good}, true) == 1U);
    CHECK(blamed(pipefail, {good, broken}, true) == 1U); // nobody reads the last one's
    CHECK(blamed(pipefail, {exit_status::from_signal(15), good}, true) == 0U);
  }

  TEST_CASE("pipeline: what a stage accepts is no failure") {
    std::vector<completed_process> stages = ended_with({bad, good});
    CHECK(of(2).policy(pipeline_policy::pipefail).blame(stages) == 0U);
    stages.front().cmd.ok_codes({0, 1});
    CHECK_FALSE(of(2).policy(pipeline_policy::pipefail).blame(stages));
  }

  TEST_CASE("pipeline: a judge decides, within the stages that there are") {
    std::optional<std::size_t> answer = 0U;
    const pipeline judged = of(2).policy([&](const std::vector<completed_process>& stages) {
      CHECK(stages.size() == 2);
      return answer;
    });
    CHECK_FALSE(judged.policy());
    CHECK(judged.blame(ended_with({good, good})) == 0U);
    answer.reset();
    CHECK_FALSE(judged.blame(ended_with({bad, bad})));
    answer = 2;
    CHECK_THROWS_AS(judged.blame(ended_with({good, good})), system_error);
    CHECK(pipeline(judged).policy(pipeline_policy::last).policy() == pipeline_policy::last);
    CHECK(pipeline(judged) == judged);
  }

  TEST_CASE("pipeline: what is not a stage's to say is refused by name and stage") {
    check_stage_refused(command("a") | command("b").in(null), 1, "in");
    check_stage_refused(command("a") | command("b").input("x"), 1, "input");
    check_stage_refused(command("a").out(piped) | command("b"), 0, "out");
    check_stage_refused(command("a") | command("b").capture_output() | command("c"), 1,
                        "capture_output");
    check_stage_refused(command("a") | command("b").check(), 1, "check");
    CHECK_THROWS_AS(detail::stage_commands(pipeline()), spawn_error);
    const filter same([](std::string_view bytes) { return std::string(bytes); });
    CHECK_THROWS_AS(detail::stage_commands(same | command("a")), spawn_error);
    CHECK_THROWS_AS(detail::stage_commands(command("a") | same), spawn_error);
    CHECK_NOTHROW(detail::stage_commands(command("a") | same | command("b")));
  }

  TEST_CASE("pipeline: its options go to the stages that say nothing else") {
    const std::vector<stop_step> mine{{2, 1s}};
    const std::vector<stop_step> general{{15, 1s}};
    const auto stages = detail::stage_commands(
        (command("a").stop_steps(mine).new_session() | command("b").err(merge) | command("c"))
            .capture_output()
            .own_groups()
            .stop_steps(general)
            .cancel_signals());
    CHECK(stages[0].stop_steps() == mine);
    CHECK(stages[2].stop_steps() == general);
    CHECK_FALSE(stages[0].process_group());
    CHECK(stages[1].process_group() == 0);
    CHECK(stages[0].err() == error_redirect(piped));
    CHECK(stages[1].err() == error_redirect(merge));
    CHECK_FALSE(stages[1].out());
    CHECK(stages[2].out() == output_redirect(piped));
    CHECK(stages[1].has_cancel_signals());
  }

  TEST_CASE("pipeline: errors tell the stage, and are those of a single command too") {
    pipeline_result result;
    result.what = command("false") | command("cat");
    result.stages = ended_with({bad, good});
    result.stages[0].cmd = command("false");
    result.stages[0].err = "why";
    result.stages[1].out = "all";
    result.stages[1].out_captured = true;
    result.status = bad;
    result.failed = 0;
    CHECK_FALSE(result.ok());
    CHECK(result.out() == "all");
    try {
      result.check_status();
      FAIL("no error");
    } catch (const called_process_error& error) {
      CHECK(std::string(error.what()) ==
            "Command 'false', stage 1 of 2 of 'false | cat', returned non-zero exit status 1.");
      CHECK(error.result().cmd == command("false"));
      CHECK(error.result().err == "why");
      CHECK(error.result().out == "all");
      CHECK(dynamic_cast<const pipeline_error&>(error).pipeline().stages.size() == 2);
    }
    CHECK(std::string(pipeline_timeout(result, 1, 0.5).what()) ==
          "Pipeline 'false | cat' timed out after 0.5 seconds.");
    CHECK(pipeline_aborted(make_error_code(errc::output_limit), result, 1).code() ==
          errc::output_limit);
    result.failed.reset();
    CHECK_NOTHROW(result.check_status());
    CHECK(pipeline_result().out().empty());
  }

} // TEST_SUITE
