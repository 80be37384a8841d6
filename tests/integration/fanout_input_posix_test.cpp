// What fanout tells its jobs, by jobs that are shells and other programs of POSIX.

#include <subproc/run.hpp>

#include "children.hpp"
#include "fanout_command.hpp"

#include <doctest/doctest.h>

#include <algorithm>
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

  TEST_CASE("fanout_input: a job has as many items as the system takes") {
    std::string items;
    for (int i = 0; i < 150'000; ++i) {
      items += std::to_string(i) + '\n';
    }
    const auto given = [&](const auto&... args) {
      const completed_process done =
          run(command(fanout_program(), "-k", "-m", args...).input(items).capture_output());
      CAPTURE(done.err);
      CHECK(done.status.success());
      return done.out;
    };
    std::string printed_back = given("printf", "%s\\n");
    CHECK(printed_back == items);
    // In one word of at most 128 KiB, and in a script, quoted.
    const auto jobs = [](const std::string& text) {
      return std::count(text.begin(), text.end(), '\n');
    };
    const auto words = jobs(given("sh", "-c", "echo ${#0}", "<{}>"));
    CHECK(words > 6);
    CHECK(words < 12);
    CHECK(jobs(given("--shell", ": {} ; echo")) >= words);
    CHECK(jobs(given("sh", "-c", "echo $#")) < 6);
    CHECK(jobs(given("--limit", "stack=1M", "sh", "-c", "echo $#")) > 6);
    CHECK(given("-n", "100000", "sh", "-c", "echo $#", "0").starts_with("1"));
    CHECK(printed("a\nb\nc\n", "-m", "-n", "2", "x") == "x a b\nx c\n");
    CHECK(run(fanout("-m", "x", ":::", "a", ":::", "b")).status.exit_code() == 255);
    CHECK(run(fanout("-n", "2", "x", ":::", "a", ":::", "b")).status.exit_code() == 255);
  }

  TEST_CASE("fanout_input: without a command the items are commands") {
    const own_folder folder;
    const std::string list =
        folder.write("list", "echo a  'b  c'\n\n  # nothing\necho $HOME; echo\n");
    CHECK(run(fanout("-k", "-a", list)).out == "a b  c\n$HOME; echo\n");
    CHECK(run(fanout("-k", "::::", list)).out == "a b  c\n$HOME; echo\n");
    CHECK(run(fanout("-k", "--shell", "-a", list).env(environment().set("HOME", "h"))).out ==
          "a b  c\nh\n\n");
    CHECK(run(fanout("-k", ":::", "echo {}", "printf %s x")).out == "{}\nx");
    CHECK(run(command(fanout_program(), "-a", "-").input("echo $FANOUT_SEQ\n").out(piped)).out ==
          "$FANOUT_SEQ\n");
    const completed_process open =
        run(command(fanout_program(), "-k", "-a", "-").input("\nnone \"\n").capture_output());
    CHECK(open.status.exit_code() == 255);
    CHECK(open.err.find("line 2 is no command: none \": No closing quotation") !=
          std::string::npos);
    CHECK(run(fanout("-n", "2", "-a", list)).status.exit_code() == 255);
    // With one it is a source as any other.
    CHECK(run(fanout("--dry-run", "-a", list, "x", "{2}", ":::", "1", "2"))
              .out.starts_with("x 1\nx 2\n"));
  }

} // TEST_SUITE
