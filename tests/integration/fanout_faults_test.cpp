// Bad input, and jobs that misbehave: fanout goes on or says why not.

#include <subproc/pipeline.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "fanout_command.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace subproc;
using namespace subproc::test;

TEST_SUITE("fanout_faults") {

  TEST_CASE("fanout_faults: an item without end is an error") {
    const pipeline_result done = run(steps({"zeros:20000000"}).err(null) |
                                     command(fanout_program(), "echo").capture_output());
    CHECK(done.stages.back().status.exit_code() == 255);
    CHECK(done.stages.back().err.find("one is longer than 16 MiB") != std::string::npos);
    CHECK(done.out() == "");
  }

  TEST_CASE("fanout_faults: an item too long for an argument fails alone") {
    const std::string item(200'000, 'a');
    const completed_process done =
        run(command(fanout_program(), "-k", "-q", helper("steps"), "say:{}")
                .input("x\n" + item + "\ny\n")
                .capture_output());
    CHECK(done.out == "x\ny\n");
    CHECK(done.status.exit_code() == 1);
  }

  TEST_CASE("fanout_faults: what is no placeholder stays, and the item comes last") {
    CHECK(run(fanout("--dry-run", "x", "{foo}", "{+}", "{0}", "{-1}", "{}}{", ":::", "a")).out ==
          "x '{foo}' '{+}' '{0}' '{-1}' 'a}{'\n");
    CHECK(run(fanout("--dry-run", "x", "{foo}", ":::", "a")).out == "x '{foo}' a\n");
  }

  TEST_CASE("fanout_faults: a job that reads nothing of its block is no failure") {
    const completed_process done =
        run(command(fanout_program(), "--pipe", "--block", "200K", "-j2", helper("steps"), "exit:0")
                .input(numbers(200'000))
                .capture_output());
    CHECK(done.status.success());
    CHECK(done.err == "");
    CHECK(run(command(fanout_program(), "-q", "--pipe", "--timeout", "0.2", helper("steps"), "stay")
                  .input(numbers(200'000))
                  .capture_output())
              .status.exit_code() == 2);
  }

  TEST_CASE("fanout_faults: floods of both streams arrive whole") {
    const int last = times(300'000);
    const std::string each = numbers(last);
    const completed_process done = run(
        fanout("-j2", helper("steps"), "both:" + std::to_string(last), ":::", "exit:0", "exit:0"));
    CHECK(done.out == each + each);
    CHECK(done.err == each + each);
    CHECK(done.status.success());
  }

} // TEST_SUITE
