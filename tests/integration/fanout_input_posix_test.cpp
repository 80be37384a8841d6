// What fanout tells its jobs, by jobs that are shells.

#include <subproc/run.hpp>

#include "children.hpp"
#include "fanout_command.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace subproc;
using namespace subproc::test;

TEST_SUITE("fanout_input") {

  TEST_CASE("fanout_input: for a shell all columns are quoted, whatever is in them") {
    const std::string nasty = "a'b $(echo no) \"c\"";
    CHECK(run(fanout("--shell", "printf '<%s>' {} {2}", ":::", nasty, ":::", "; echo no")).out ==
          "<" + nasty + "><; echo no><; echo no>");
  }

  TEST_CASE("fanout_input: a job knows its number, its slot and its try") {
    const completed_process done =
        run(fanout("-j1", "--retries", "1", "sh", "-c",
                   "echo $FANOUT_SEQ $FANOUT_SLOT $FANOUT_TRY {#} {%} {}; [ $FANOUT_TRY = {} ]",
                   ":::", "1", "2"));
    CHECK(done.out == "1 1 1 1 1 1\n2 1 2 2 1 2\n");
    CHECK(done.status.success());
  }

  TEST_CASE("fanout_input: jobs that run at once have different slots") {
    const own_folder folder;
    CHECK(run(fanout("-j3", "sh", "-c", "mkdir slot{%} && rmdir slot{%}", ":::", "1", "2", "3", "4",
                     "5", "6", "7", "8", "9")
                  .cwd(folder.path()))
              .status.success());
  }

} // TEST_SUITE
