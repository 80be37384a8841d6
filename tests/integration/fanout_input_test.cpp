// What fanout makes its jobs of: sources, columns, placeholders.

#include <subproc/run.hpp>

#include "children.hpp"
#include "fanout_command.hpp"

#include <doctest/doctest.h>

#include <sstream>
#include <string>

using namespace subproc;
using namespace subproc::test;

TEST_SUITE("fanout_input") {

  TEST_CASE("fanout_input: items end with the byte that is asked for") {
    CHECK(printed("a\nb,,c", "-d", ",", "-C", "\n", "echo", "{1}+{2}") ==
          "echo a+b\necho +\necho c+\n");
    CHECK(printed("a\tb", "-d", "\\t", "echo") == "echo a\necho b\n");
    CHECK(printed(std::string("a\0b", 3), "-d", "\\0", "echo") == "echo a\necho b\n");
    for (const char* wrong : {"", "ab", "\\x"}) {
      CHECK(run(fanout("-d", wrong, "echo")).status.exit_code() == 255);
    }
    CHECK(run(fanout("-0", "-d", ",", "echo")).status.exit_code() == 255);
  }

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
    const std::string list = folder.write("list", "a\nb\n");
    CHECK(run(fanout("--dry-run", "x", "::::", list)).out == "x a\nx b\n");
    CHECK(printed("1\n2\n", "x", "::::", "-", list) == "x 1 a\nx 1 b\nx 2 a\nx 2 b\n");
    CHECK(printed("1\n2\n", "x", "::::", "-", "::::+", list) == "x 1 a\nx 2 b\n");
    const completed_process none = run(fanout("x", "::::", list + ".none"));
    CHECK(none.status.exit_code() == 255);
    CHECK(none.err.find("cannot read '" + list + ".none': ") != std::string::npos);
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

  TEST_CASE("fanout_input: placeholders take parts of a path, of each column") {
    CHECK(run(fanout("--dry-run", "x", "{1/}", "{2//}", "{2/.}", "{.}", "{3}", "{4x}", "{", "}",
                     ":::", "d/a.c", ":::", "e/b.tar.gz"))
              .out == "x a.c e b.tar d/a e/b.tar '' '{4x}' '{' '}'\n");
    CHECK(run(fanout("--dry-run", "x", "{{}}", "{1}{1}", ":::", "a")).out == "x '{a}' aa\n");
  }

  TEST_CASE("fanout_input: a job has its number and its slot in its arguments and variables") {
    const completed_process done =
        run(fanout("-j1", helper("steps"), "env:FANOUT_SEQ", "env:FANOUT_SLOT", "env:FANOUT_TRY",
                   "say:{#} {%} {}", ":::", "a", "b"));
    CHECK(done.out == "1\n1\n1\n1 1 a\n2\n1\n1\n2 1 b\n");
    CHECK(done.status.success());
  }

  TEST_CASE("fanout_input: with --pipe the blocks of stdin are whole lines, each given once") {
    const std::string text = numbers(starts(10'000));
    const completed_process done = run(command(fanout_program(), "--pipe", "--block", "1000", "-k",
                                               "-j3", helper("steps"), "echo", "say:block")
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
    CHECK(run(command(fanout_program(), "--pipe", helper("steps"), "echo")
                  .input("no end")
                  .capture_output())
              .out == "no end");
    CHECK(
        run(command(fanout_program(), "--pipe", helper("steps"), "echo").input("").capture_output())
            .out == "");
    CHECK(run(fanout("--pipe", helper("steps"), "echo", ":::", "a")).status.exit_code() == 255);
  }

} // TEST_SUITE
