#include <subproc/pipeline.hpp>
#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "fanout_command.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

using namespace subproc;
using namespace subproc::test;

TEST_SUITE("fanout") {

  TEST_CASE("fanout: an item with spaces, quotes and a newline is one argument") {
    const completed_process done =
        run(fanout("-k", helper("steps"), "print:<{}>", ":::", "a b", "it's \"x\"", "two\nlines"));
    CHECK(done.out == "<a b><it's \"x\"><two\nlines>");
    CHECK(done.status.success());
  }

  TEST_CASE("fanout: the exit code counts failures, a hanging job is timed out") {
    CHECK(run(fanout(helper("steps"), "exit:{}", ":::", "0", "1", "2")).status.exit_code() == 2);
    CHECK(run(fanout("--timeout", "0.2", helper("steps"), ":::", "stay")).status.exit_code() == 1);
    CHECK(run(fanout("/no/such", ":::", "a")).status.exit_code() == 1);
    CHECK(run(fanout("--max-output", "1000", helper("steps"), ":::", "yes")).status.exit_code() ==
          1);
    CHECK(run(fanout()).status.exit_code() == 255);
  }

  TEST_CASE("fanout: wrong usage starts nothing") {
    for (const char* jobs : {"-1", "", "x", "99999999999999999999"}) {
      CAPTURE(jobs);
      CHECK(run(fanout("-j", jobs, "echo", ":::", "a")).status.exit_code() == 255);
    }
    CHECK(run(fanout("--timeout", "nan", "echo", ":::", "a")).status.exit_code() == 255);
    const completed_process unknown = run(fanout("--no-such", "echo", ":::", "a"));
    CHECK(unknown.status.exit_code() == 255);
    CHECK(unknown.err.find("--no-such") != std::string::npos);
    CHECK(unknown.out.empty());
  }

  TEST_CASE("fanout: failures count also when nobody reads stderr") {
    asio::io_context context;
    process child(context, fanout(helper("steps"), "exit:1", ":::", "a", "b"));
    child.err().close();
    CHECK(child.wait().exit_code() == 2);
  }

  TEST_CASE("fanout: an item with a NUL byte fails alone") {
    const completed_process done = run(command(fanout_program(), "-k", helper("steps"), "say:{}")
                                           .input(std::string("a\0b\nc\n", 6))
                                           .capture_output());
    CHECK(done.out == "c\n");
    CHECK(done.status.exit_code() == 1);
  }

  TEST_CASE("fanout: the job log has one line a job") {
    const own_folder folder;
    run(fanout("--joblog", folder / "log", helper("steps"), "exit:0", ":::", "two\nlines"));
    const std::string log = folder.read("log");
    CHECK(std::count(log.begin(), log.end(), '\n') == 2);
    CHECK(log.ends_with(std::string(" exit:0 'two\0lines'\n", 20)));
  }

  TEST_CASE("fanout: an endless input whose reader has gone ends quietly") {
    const pipeline_result done =
        run(steps({"yes"}).err(null) | command(fanout_program(), "-q", helper("steps"), "say:{}") |
            steps({"echo:6"}).out(piped));
    CHECK(done.out() == "y\ny\ny\n");
  }

  TEST_CASE("fanout: placeholders, also as the command; dry run") {
    CHECK(run(fanout("--dry-run", "cp", "{}", "{//}/{/}.{#}", "{.}", ":::", "d/f.txt")).out ==
          "cp d/f.txt d/f.txt.1 d/f\n");
    CHECK(run(fanout("{}", "exit:0", ":::", helper("steps"))).status.success());
  }

  TEST_CASE("fanout: the bar stays on the screen while jobs end") {
    std::vector<std::string> args{fanout_program(), "--bar",         "-j1",    "--delay",
                                  "0.03",           helper("steps"), "exit:0", ":::"};
    args.insert(args.end(), 20, "x");
    const std::string err = run(command(args).capture_output().in(null)).err;
    const std::string wipe = "\r\033[K";
    CAPTURE(err);
    CHECK(err.find(wipe + "[#") != std::string::npos);
    CHECK(err.find(wipe + wipe) == std::string::npos); // wiped only to draw, or to write
    CHECK(err.find("fanout: 20 jobs, 0 failed") != std::string::npos);
  }

  TEST_CASE("fanout: a job that cannot start or writes too much is told, the others go on") {
    const completed_process done = run(fanout("-j1", "--max-output", "1000", helper("steps"), "{}",
                                              ":::", "yes", "exit:127", "say:fine"));
    CHECK(done.out.ends_with("fine\n"));
    CHECK(done.err.find("--max-output") != std::string::npos);
    CHECK(done.err.find("exited with 127") != std::string::npos);
    CHECK(done.status.exit_code() == 2);
  }

  TEST_CASE("fanout: thousands of items from stdin, each once and in order") {
    std::string items;
    std::string expected;
    for (int i = 0; i < starts(times(3000)); ++i) {
      items += std::to_string(i) + '\0';
      expected += std::to_string(i) + '\n';
    }
    CHECK(run(command(fanout_program(), "-0", "-k", helper("steps"), "say:{}")
                  .input(items)
                  .out(piped))
              .out == expected);
  }

  TEST_CASE("fanout: what fails is tried again, as often and for what was asked") {
    // By line each try is shown.
    const auto count = [](const auto&... args) {
      const std::string out = run(fanout("-q", "-j1", "--line-buffer", args..., helper("steps"),
                                         "say:x", "{}", ":::", "exit:1", "exit:0"))
                                  .out;
      return std::count(out.begin(), out.end(), '\n');
    };
    CHECK(count() == 2);
    CHECK(count("--retries", "2") == 4);
    CHECK(count("--retries", "2", "--retry-on", "timeout") == 2);
    CHECK(count("--retries", "1", "--retry-on", "timeout,status") == 3);
    CHECK(count("--retries", "3", "--retry-on", "spawn", "--retry-delay", "600") == 2);
    const auto tries = [](const auto&... args) {
      return run(fanout("--retries", "1", args..., ":::", "x")).err.find("(try 2)") !=
             std::string::npos;
    };
    CHECK(tries(helper("steps"), "exit:1"));
    CHECK(tries("--retry-on", "timeout", "--timeout", "0.2", helper("steps"), "stay"));
    CHECK(tries("--retry-on", "spawn", "/no/such"));
    CHECK_FALSE(tries("--retry-on", "status", "--timeout", "0.2", helper("steps"), "stay"));
    CHECK(run(fanout("--retries", "2", helper("steps"), "exit:1", ":::", "a")).status.exit_code() ==
          1);
  }

  TEST_CASE("fanout: each try may have more, in a variable") {
    const completed_process done = run(fanout("-q", "--line-buffer", "--retry-with", "PARTS=a,b,c",
                                              helper("steps"), "env:PARTS", "exit:1", ":::", "x"));
    CHECK(done.out == "a\nb\nc\n"); // without --retries as many tries as there are values
    CHECK(done.status.exit_code() == 1);
  }

  TEST_CASE("fanout: a halt stops what runs, or lets it end") {
    const leak_check leaks;
    const completed_process now = run(fanout("-j2", "--halt", "now,fail=1", helper("steps"), "{}",
                                             ":::", "stay", "exit:3", "exit:4"));
    CHECK(now.status.exit_code() == 1);
    CHECK(now.err.find("halted (--halt): 1 jobs had ended, 1 were stopped") != std::string::npos);
    const completed_process soon = run(fanout("-j1", "-k", "--halt", "soon,done=2", helper("steps"),
                                              "say:{}", ":::", "1", "2", "3"));
    CHECK(soon.out == "1\n2\n");
    CHECK(soon.status.success());
    const completed_process won = run(fanout("-j2", "--halt", "now,success=1", helper("steps"),
                                             "{}", ":::", "stay", "exit:0", "exit:4"));
    CHECK(won.status.success());
  }

  TEST_CASE("fanout: the folder is that of the jobs") {
    const own_folder folder;
    const std::string told = run(fanout("--workdir", folder.path().string(), helper("steps"), "cwd",
                                        "exit:0", ":::", "x"))
                                 .out;
    REQUIRE(told.ends_with('\n'));
    CHECK(std::filesystem::equivalent(told.substr(0, told.size() - 1), folder.path()));
  }

  TEST_CASE("fanout: lines are tagged with their items") {
    CHECK(run(fanout("-k", "--tag", helper("steps"), "print:a\nb", "exit:0", ":::", "x", "y\nz"))
              .out == "x\ta\nx\tby z\ta\ny z\tb");
  }

  TEST_CASE("fanout: options that mean nothing are refused by their names") {
    const std::vector<std::vector<std::string>> rows{
        {"--halt", "now"},     {"--halt", "soon,fail=0"}, {"--halt", "now,fail=101%"},
        {"--retries", "-1"},   {"--retry-on", "rain"},    {"--retry-delay", "x"},
        {"--rate", "0"},       {"--delay", "-1"},         {"--load", "0"},
        {"--memfree", "much"}, {"--limit", "files=3"},    {"--limit", "nofile"},
        {"--nice", "20"},      {"--timeout", "0%"},       {"--jobs", "x%"},
        {"--colsep", ""},      {"--joblog", ""},          {"--max-args", "-1"},
        {"--retry-with", "a"}, {"--retry-with", "as=x"},  {"--retry-with", "2=3"},
        {"--report", ""},      {"--junit", ""},           {"--arg-file", ""},
    };
    for (const std::vector<std::string>& row : rows) {
      CAPTURE(row[0]);
      CAPTURE(row[1]);
      const completed_process done = run(fanout(row[0], row[1], "echo", ":::", "a"));
      CHECK(done.status.exit_code() == 255);
      CHECK(done.err.find(row[0]) != std::string::npos);
      CHECK(done.out == "");
    }
  }

  TEST_CASE("fanout: its help fits on a screen and says how it is called") {
    const std::string help = run(fanout("--help")).out;
    CHECK(std::count(help.begin(), help.end(), '\n') <= 30);
    CHECK(help.starts_with("Usage: fanout [options] command [arguments] [::: items"));
    std::istringstream lines(help);
    for (std::string line; std::getline(lines, line);) {
      CHECK(line.size() <= 100);
    }
  }

  TEST_CASE("fanout: its page and its completions have every option") {
    const std::string help = run(fanout("--help-all")).out;
    const std::string man = run(fanout("--man")).out;
    const std::string bash = run(fanout("--completion", "bash")).out;
    const std::string zsh = run(fanout("--completion", "zsh")).out;
    const std::string fish = run(fanout("--completion", "fish")).out;
    int options = 0;
    std::istringstream lines(help);
    for (std::string line; std::getline(lines, line);) {
      const std::size_t at = line.find("--");
      if (!line.starts_with("  ") || at == line.npos || at > 8) {
        continue;
      }
      const std::string name = line.substr(at, line.find(' ', at) - at);
      CAPTURE(name);
      ++options;
      std::string roff = name;
      for (std::size_t dash = 0; (dash = roff.find('-', dash)) != roff.npos; dash += 2) {
        roff.insert(dash, "\\");
      }
      CHECK(man.find(roff) != std::string::npos);
      CHECK(bash.find(name) != std::string::npos);
      CHECK(zsh.find(name) != std::string::npos);
      CHECK(fish.find(" -l " + name.substr(2) + ' ') != std::string::npos);
    }
    CHECK(options > 30);
    CHECK(run(fanout("--completion", "tcsh")).status.exit_code() == 255);
    CHECK(run(fanout("--dry-run", "x", "--man", ":::", "a")).out == "x --man a\n");
  }

} // TEST_SUITE
