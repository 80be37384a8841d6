// How fanout passes on what its jobs write: by job, by line, or not at all.

#include <subproc/pipeline.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "fanout_command.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using namespace subproc;
using namespace subproc::test;

TEST_SUITE("fanout_output") {

  TEST_CASE("fanout_output: by line each try is shown, and what is kept is that of the last") {
    const own_folder folder;
    const completed_process done =
        run(fanout("-q", "--line-buffer", "--retries", "1", "--results", folder / "r", "--json",
                   folder / "json", "--joblog", folder / "log", helper("steps"), "print:try ",
                   "env:FANOUT_TRY", "exit:3", ":::", "x"));
    CHECK(done.out == "try 1\ntry 2\n");
    CHECK(folder.read("r/1/stdout") == "try 2\n");
    CHECK(folder.read("json").find("\"stdout\":\"try 2\\n\"") != std::string::npos);
    CHECK(folder.read("log").find("\t6\t3\t0\t") != std::string::npos);
    CHECK(done.status.exit_code() == 1);
  }

  TEST_CASE("fanout_output: by line an endless job ends when the reader has gone") {
    // Where no SIGPIPE ends them the jobs complain.
    const command forever = command(fanout_program(), "-q", "--line-buffer", "-j2", helper("steps"),
                                    "yes", ":::", "a", "a")
                                .in(null)
                                .err(null);
    const pipeline_result done = run(forever | steps({"echo:4"}).out(piped));
    CHECK(done.out() == "y\ny\n");
  }

  TEST_CASE("fanout_output: ungrouped the jobs write for themselves") {
    const completed_process done =
        run(fanout("-u", "-j1", helper("steps"), "say:{}", "exit:{}", ":::", "0", "1"));
    CHECK(done.out == "0\n1\n");
    CHECK(done.status.exit_code() == 1);
  }

  TEST_CASE("fanout_output: ways that exclude each other are refused") {
    for (const char* other : {"--line-buffer", "-k", "--tag", "--results=/tmp/x", "--json=-"}) {
      CAPTURE(other);
      const completed_process done = run(fanout("-u", other, "echo", ":::", "a"));
      CHECK(done.status.exit_code() == 255);
      CHECK(done.err.find("--ungroup") != std::string::npos);
      CHECK(done.out == "");
    }
    CHECK(run(fanout("--line-buffer", "-k", "echo", ":::", "a")).status.exit_code() == 255);
    CHECK(run(fanout("--group", "-k", "--tag", helper("steps"), "say:{}", ":::", "a")).out ==
          "a\ta\n");
  }

  TEST_CASE("fanout_output: the time left is told without a terminal") {
    const completed_process done =
        run(fanout("--eta", "-j1", helper("steps"), "exit:0", ":::", "1", "2", "3"));
    CHECK(done.err.starts_with("fanout: 1/3  "));
    CHECK(done.err.find("ETA ") != std::string::npos);
    CHECK(std::ranges::count(done.err, '\n') == 1);
    CHECK(done.err.find('\r') == std::string::npos);
  }

} // TEST_SUITE
