// Jobs that misbehave and systems that have no room, by signals, limits and /dev/full.

#include <subproc/run.hpp>

#include "children.hpp"
#include "fanout_command.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include <signal.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

TEST_SUITE("fanout_faults") {

  TEST_CASE("fanout_faults: an item without end costs no memory") {
    const completed_process done = run(
        command("sh", "-c", "head -c 100M /dev/zero | tr '\\0' a | \"$0\" echo", fanout_program())
            .capture_output());
    CHECK(done.status.exit_code() == 255);
    CHECK(done.err.find("one is longer than 16 MiB") != std::string::npos);
    CHECK(done.out == "");
    if (!sanitized) {
      CHECK(done.usage.max_resident_bytes < 64 << 20);
    }
    const completed_process quotes =
        run(command("sh", "-c", "yes '\"' | tr -d '\\n' | \"$0\" --csv echo", fanout_program())
                .capture_output());
    CHECK(quotes.status.exit_code() == 255);
  }

  TEST_CASE("fanout_faults: an item too long for an argument fails by the limit's name") {
    const std::string item(200'000, 'a');
    const completed_process done =
        run(command(fanout_program(), "-k", "echo").input("x\n" + item + "\ny\n").capture_output());
    CHECK(done.out == "x\ny\n");
    CHECK(done.status.exit_code() == 1);
    CHECK(done.err.find("argument 1 has 200000 bytes") != std::string::npos);
    CHECK(done.err.find("MAX_ARG_STRLEN") != std::string::npos);
    const std::string column(100'000, 'b');
    std::string columns;
    for (int i = 0; i < 100; ++i) {
      columns += column + ':';
    }
    const completed_process many =
        run(command(fanout_program(), "-C:", "echo").input(columns + "\n").capture_output());
    CHECK(many.status.exit_code() == 1);
    CHECK(many.err.find("ARG_MAX") != std::string::npos);
    const completed_process one =
        run(command(fanout_program(), "-C:", "sh", "-c", "echo ${#0}", "{2}")
                .input(columns + "\n")
                .capture_output());
    CHECK(one.out == "100000\n"); // a long line of which a part is taken
  }

  TEST_CASE("fanout_faults: a full disk is one clear sentence, under whatever is written") {
    const own_folder folder;
    const std::string results = folder / "r";
    std::filesystem::create_directories(folder.path() / "r" / "1");
    std::filesystem::create_symlink("/dev/full", folder.path() / "r" / "1" / "stdout");
    const std::vector<std::vector<std::string>> rows{
        {"--results", results, results + "/1/stdout"}, {"--trace", "/dev/full", "'/dev/full'"},
        {"--json", "/dev/full", "'/dev/full'"},        {"--joblog", "/dev/full", "'/dev/full'"},
        {"--report", "/dev/full", "'/dev/full'"},      {"--junit", "/dev/full", "'/dev/full'"}};
    for (const std::vector<std::string>& row : rows) {
      CAPTURE(row[0]);
      const completed_process done = run(fanout("-q", row[0], row[1], "echo", ":::", "a"));
      CHECK(done.status.exit_code() == 255);
      CHECK(done.err.find(row[2]) != std::string::npos);
      CHECK(done.err.find("No space left on device") != std::string::npos);
      CHECK(std::ranges::count(done.err, '\n') == 1);
    }
    const completed_process out = run(command(fanout_program(), "-q", "echo", ":::", "a")
                                          .in(null)
                                          .err(piped)
                                          .out(file("/dev/full")));
    CHECK(out.status.exit_code() == 255);
    CHECK(out.err == "fanout: cannot write output: No space left on device\n");
  }

  TEST_CASE("fanout_faults: a job that ignores SIGTERM is killed when the grace is over") {
    const leak_check leaks;
    CHECK(
        signalled(SIGINT, fanout("-u", "--grace", "0.1", "sh", "-c",
                                 "trap '' TERM; echo up; while :; do sleep 600; done", ":::", "a"))
            .status.exit_code() == 130);
    CHECK(run(fanout("-q", "--timeout", "0.2", "sh", "-c",
                     "trap '' TERM; while :; do sleep 600; done", ":::", "a"))
              .status.exit_code() == 1);
  }

  TEST_CASE("fanout_faults: who leaves the job's session is not waited for after a time-out") {
    const own_folder folder;
    const std::string pid = folder / "pid";
    const char* const script = "(setsid sh -c 'echo $$ >\"$0\".new; mv \"$0\".new \"$0\"; "
                               "exec sleep 600' \"$0\" &) ; "
                               "while [ ! -e \"$0\" ]; do sleep 0.01; done";
    // It holds the job's outputs.
    CHECK(
        run(fanout("-q", "--timeout", "0.5", "sh", "-c", script, ":::", pid)).status.exit_code() ==
        1);
    const auto kill_it = [&] { return ::kill(std::stoi(folder.read("pid")), SIGKILL) == 0; };
    CHECK(kill_it());
    std::filesystem::remove(pid);
    // It does not.
    const std::string closed = "(exec >/dev/null 2>&1; " + std::string(script) + "); echo done";
    CHECK(run(fanout("-q", "sh", "-c", closed, ":::", pid)).out == "done\n");
    CHECK(kill_it());
  }

  TEST_CASE("fanout_faults: floods of both streams at once arrive whole") {
    const int size = times(20) << 20;
    const completed_process done =
        run(fanout("-j2", "sh", "-c", "head -c $1 /dev/zero & head -c $1 /dev/zero >&2; wait", "sh",
                   std::to_string(size), "{#}", ":::", "a", "b"));
    CHECK(done.out.size() == 2 * static_cast<std::size_t>(size));
    CHECK(done.err.size() == 2 * static_cast<std::size_t>(size));
    CHECK(done.status.success());
  }

  TEST_CASE("fanout_faults: the job log has the signal, whichever it was") {
    const own_folder folder;
    std::vector<std::string> args{
        fanout_program(), "-q", "--limit", "core=0", "--joblog", folder / "log", "-j4", "sh", "-c",
        "kill -$0 $$",    ":::"};
    std::size_t count = 0;
    for (int number = 1; number < SIGRTMAX; ++number) {
      const bool ends = number != SIGCHLD && number != SIGCONT && number != SIGSTOP &&
                        number != SIGTSTP && number != SIGTTIN && number != SIGTTOU &&
                        number != SIGURG && number != SIGWINCH &&
                        (number < 32 || number >= SIGRTMIN);
      if (ends) {
        args.push_back(std::to_string(number));
        ++count;
      }
    }
    CHECK(run(command(args).in(null)).status.exit_code() ==
          static_cast<int>(std::min<std::size_t>(count, 101)));
    std::istringstream log(folder.read("log"));
    std::string line;
    std::getline(log, line);
    std::size_t lines = 0;
    for (; std::getline(log, line); ++lines) {
      std::istringstream columns(line);
      std::vector<std::string> each;
      for (std::string column; std::getline(columns, column, '\t');) {
        each.push_back(column);
      }
      REQUIRE(each.size() == 9);
      CHECK(each[6] == "-1");
      CHECK(each[8].ends_with(' ' + each[7]));
    }
    CHECK(lines == count);
  }

  TEST_CASE("fanout_faults: with few processes it goes on with fewer jobs, and says so once") {
    if (::geteuid() != 0) {
      MESSAGE("excused here: only root can become somebody who has no other process");
      return;
    }
    for (int attempt = 0;; ++attempt) { // unless the machine starts them one after the other
      REQUIRE(attempt < 10);
      command cmd = fanout("-j20", "sleep", ":::");
      for (int i = 0; i < 40; ++i) {
        cmd.arg("0.2");
      }
      cmd.user(54322).group(54322).extra_groups({});
      cmd.with(limits{.rlimits = {{"nproc", 12}}});
      const completed_process done = run(cmd);
      CAPTURE(done.err);
      CHECK(done.status.success());
      if (done.err.empty()) {
        continue;
      }
      CHECK(done.err.find("the system has no room for 20 jobs at once") != std::string::npos);
      CHECK(std::ranges::count(done.err, '\n') == 1);
      break;
    }
  }

  TEST_CASE("fanout_faults: with fewer descriptors than it counted on it goes on too") {
    if (sanitized) {
      MESSAGE("excused here: UBSan finds out whether an address is readable by a pipe");
      return;
    }
    const completed_process done =
        run(command("bash", "-c",
                    "ulimit -n 60; for i in {10..27}; do eval \"exec $i</dev/null\"; done; "
                    "seq 60 | \"$0\" -j11 -q sleep 0.0{}",
                    fanout_program())
                .capture_output());
    CHECK(done.status.success());
    CHECK(done.err == "");
  }

} // TEST_SUITE
