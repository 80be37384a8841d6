// What fanout makes its jobs of: sources, columns, placeholders.

#include <subproc/run.hpp>

#include "children.hpp"
#include "fanout_command.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>
#include <string>

using namespace subproc;
using namespace subproc::test;

namespace {

/// What is printed for these items on stdin.
template <class... Args>
std::string printed(const std::string& items, const Args&... args) {
  const completed_process done =
      run(command(fanout_program(), "--dry-run", args...).input(items).capture_output());
  CAPTURE(done.err);
  CHECK(done.status.success());
  return done.out;
}

} // namespace

TEST_SUITE("fanout_input") {

  TEST_CASE("fanout_input: of several sources each combination is a job, the last varies fastest") {
    CHECK(run(fanout("--dry-run", "x", "{2}{1}", ":::", "a", "b", ":::", "1", "2")).out ==
          "x 1a\nx 2a\nx 1b\nx 2b\n");
    CHECK(run(fanout("--dry-run", "x", ":::", "a", ":::", "1", ":::", "?", "!")).out ==
          "x a 1 '?'\nx a 1 '!'\n");
    CHECK(run(fanout("--dry-run", "x", ":::", "a", ":::")).out == "");
  }

  TEST_CASE("fanout_input: linked sources go in step, as far as all go") {
    CHECK(run(fanout("--dry-run", "x", "{1}{2}", ":::", "a", "b", "c", ":::+", "1", "2")).out ==
          "x a1\nx b2\n");
    CHECK(run(fanout("--dry-run", "x", "{1}{2}{3}", ":::", "a", "b", ":::+", "1", "2", ":::", "y",
                     "z"))
              .out == "x a1y\nx a1z\nx b2y\nx b2z\n");
    CHECK(run(fanout("x", ":::+", "1")).status.exit_code() == 255);
  }

  TEST_CASE("fanout_input: sources are files, and stdin is one") {
    const own_folder folder;
    std::ofstream(folder.path() / "list") << "a\nb\n";
    const std::string list = (folder.path() / "list").string();
    CHECK(run(fanout("--dry-run", "x", "::::", list)).out == "x a\nx b\n");
    CHECK(printed("1\n2\n", "x", "::::", "-", list) == "x 1 a\nx 1 b\nx 2 a\nx 2 b\n");
    CHECK(printed("1\n2\n", "x", "::::", "-", "::::+", list) == "x 1 a\nx 2 b\n");
    const completed_process none = run(fanout("x", "::::", list + ".none"));
    CHECK(none.status.exit_code() == 255);
    CHECK(none.err.find("cannot read '" + list + ".none': No such file") != std::string::npos);
  }

  TEST_CASE("fanout_input: items have columns, by a separator or as CSV") {
    CHECK(printed("a:b:c\nd\n", "-C", ":", "x", "{3}-{1}") == "x c-a\nx -d\n");
    CHECK(printed("a\tb\n", "-C", "\\t", "x") == "x a b\n");
    CHECK(printed("a,\"b,\"\"c\"\"\nd\",\r\n", "--csv", "x", "{1}", "{2}", "{3}") ==
          "x a 'b,\"c\"\nd' ''\n");
    const completed_process cut =
        run(command(fanout_program(), "--dry-run", "--csv", "x").input("a,\"b").capture_output());
    CHECK(cut.status.exit_code() == 255);
    CHECK(cut.err.find("end within quotes") != std::string::npos);
  }

  TEST_CASE("fanout_input: a header names the columns") {
    CHECK(printed("name,size\nf.txt,3\n", "--csv", "--header", "x", "{size}", "{name}",
                  "{name.}") == "x 3 f.txt f\n");
    CHECK(run(fanout("--dry-run", "--header", "x", "{who}={what}", ":::", "who", "a", "b",
                     ":::", "what", "1"))
              .out == "x a=1\nx b=1\n");
  }

  TEST_CASE("fanout_input: several items are one job") {
    CHECK(printed("1\n2\n3\n4\n5\n", "-n", "2", "x") == "x 1 2\nx 3 4\nx 5\n");
    CHECK(printed("1\n2\n3\n", "-n", "2", "x", "{2}", "<{}>") == "x 2 '<1 2>'\nx '' '<3>'\n");
    CHECK(run(fanout("-n", "2", "--csv", "x", ":::", "a")).status.exit_code() == 255);
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

  TEST_CASE("fanout_input: placeholders take parts of a path, of each column") {
    CHECK(run(fanout("--dry-run", "x", "{1/}", "{2//}", "{2/.}", "{.}", "{3}", "{4x}", "{", "}",
                     ":::", "d/a.c", ":::", "e/b.tar.gz"))
              .out == "x a.c e b.tar d/a e/b.tar '' '{4x}' '{' '}'\n");
    CHECK(run(fanout("--dry-run", "x", "{{}}", "{1}{1}", ":::", "a")).out == "x '{a}' aa\n");
  }

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

  TEST_CASE("fanout_input: with --pipe the blocks of stdin are whole lines, each given once") {
    const std::string text = numbers(times(10'000));
    const completed_process done = run(command(fanout_program(), "--pipe", "--block", "1000", "-k",
                                               "-j3", "sh", "-c", "cat; echo block")
                                           .input(text)
                                           .capture_output());
    std::string got;
    int blocks = 0;
    std::istringstream lines(done.out);
    for (std::string line; std::getline(lines, line);) {
      if (line == "block") {
        ++blocks;
      } else {
        got += line + '\n';
      }
    }
    CHECK(got == text);
    CHECK(static_cast<std::size_t>(blocks) >= text.size() / 1010);
    CHECK(run(command(fanout_program(), "--pipe", "cat").input("no end").capture_output()).out ==
          "no end");
    CHECK(run(command(fanout_program(), "--pipe", "cat").input("").capture_output()).out == "");
    CHECK(run(fanout("--pipe", "cat", ":::", "a")).status.exit_code() == 255);
  }

} // TEST_SUITE
