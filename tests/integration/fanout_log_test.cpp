// What fanout keeps of its jobs, and how a run goes on where another one ended.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "fanout_command.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <signal.h>

using namespace subproc;
using namespace subproc::test;

namespace {

std::string text_of(const std::filesystem::path& file) {
  std::ifstream from(file, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(from), {});
}

/// How often each job stands in a log.
std::map<int, int> jobs_in(const std::string& log) {
  std::map<int, int> jobs;
  std::istringstream from(log);
  std::string line;
  std::getline(from, line); // the names of the columns
  while (std::getline(from, line) && !from.eof()) {
    ++jobs[std::stoi(line)];
  }
  return jobs;
}

} // namespace

TEST_SUITE("fanout_log") {

  TEST_CASE("fanout_log: what is in the log is not run again, or only what failed") {
    const own_folder folder;
    const std::string log = (folder.path() / "log").string();
    const auto go_on = [&](const char* how, const char* last) {
      return run(fanout("-k", "-q", "--joblog", log, how, "sh", "-c", "echo {}; exit {}",
                        ":::", "0", "1", "0", last));
    };
    CHECK(run(fanout("-q", "--joblog", log, "sh", "-c", "echo {}; exit {}", ":::", "0", "1"))
              .status.exit_code() == 1);
    CHECK(go_on("--resume", "3").out == "0\n3\n");
    CHECK(go_on("--resume", "3").out == "");
    const completed_process again = go_on("--resume-failed", "3");
    CHECK(again.out == "1\n3\n");
    CHECK(again.status.exit_code() == 2);
    CHECK(jobs_in(text_of(log)) == std::map<int, int>{{1, 1}, {2, 2}, {3, 1}, {4, 2}});
  }

  TEST_CASE("fanout_log: the log of other jobs, and what is none, are refused") {
    const own_folder folder;
    const std::string log = (folder.path() / "log").string();
    run(fanout("--joblog", log, "echo", ":::", "a", "b"));
    const completed_process other =
        run(fanout("--joblog", log, "--resume", "echo", ":::", "a", "c", "d"));
    CHECK(other.status.exit_code() == 255);
    CHECK(other.err.find("its job 2 was not echo c") != std::string::npos);
    CHECK(other.out == "");
    std::ofstream(log) << "something\nelse\n";
    const completed_process none = run(fanout("--joblog", log, "--resume", "echo", ":::", "a"));
    CHECK(none.status.exit_code() == 255);
    CHECK(none.err.find("line 1 is none of a job log") != std::string::npos);
    CHECK(run(fanout("--resume", "echo", ":::", "a")).status.exit_code() == 255);
  }

  TEST_CASE("fanout_log: a line that was cut off counts for nothing") {
    const own_folder folder;
    const std::string log = (folder.path() / "log").string();
    run(fanout("-j1", "--joblog", log, "echo", ":::", "a", "b"));
    std::filesystem::resize_file(log, std::filesystem::file_size(log) - 3);
    CHECK(run(fanout("--joblog", log, "--resume", "echo", ":::", "a", "b")).out == "b\n");
    CHECK(jobs_in(text_of(log)) == std::map<int, int>{{1, 1}, {2, 1}});
  }

  TEST_CASE("fanout_log: killed at any moment, a run goes on and no job is lost or repeated") {
    const leak_check leaks;
    const own_folder folder;
    const std::filesystem::path log = folder.path() / "log";
    const std::filesystem::path ran = folder.path() / "ran";
    const int jobs = times(120);
    std::vector<std::string> args{fanout_program(), "-j4", "-q", "--joblog",      log.string(),
                                  "--resume",       "sh",  "-c", "echo {} >>ran", ":::"};
    for (int i = 1; i <= jobs; ++i) {
      args.push_back(std::to_string(i));
    }
    int kills = 0;
    for (int step = 1;; step += 2) {
      const std::set<int> logged = [&] {
        std::set<int> all;
        for (const auto& [job, count] : jobs_in(text_of(log))) {
          CHECK(count == 1);
          all.insert(job);
        }
        return all;
      }();
      const std::string before = text_of(ran);
      asio::io_context context;
      process child(context, command(args).in(null).out(null).cwd(folder.path()));
      // Some way into it, however slow the machine is.
      const auto lines = [&] {
        const std::string text = text_of(ran);
        return std::count(text.begin(), text.end(), '\n');
      };
      const auto until = std::count(before.begin(), before.end(), '\n') + step;
      const bool over =
          !eventually([&] { return child.poll() || lines() >= until; }) || child.poll().has_value();
      if (!over) {
        child.send_signal(SIGKILL);
        ++kills;
      }
      const exit_status status = child.wait();
      // The last lines of jobs that were killed with fanout may still come.
      std::istringstream since(text_of(ran).substr(before.size()));
      for (int job = 0; since >> job;) {
        CHECK(logged.count(job) == 0);
      }
      if (over) {
        CHECK(status.success());
        break;
      }
    }
    CHECK(kills > 3);
    const auto in_log = jobs_in(text_of(log));
    CHECK(in_log.size() == static_cast<std::size_t>(jobs));
    std::set<int> have_run;
    std::istringstream all(text_of(ran));
    for (int job = 0; all >> job;) {
      have_run.insert(job);
    }
    CHECK(have_run.size() == static_cast<std::size_t>(jobs));
  }

  TEST_CASE("fanout_log: a full disk under the log ends it with one clear sentence") {
    const completed_process done =
        run(fanout("-q", "--joblog", "/dev/full", "echo", ":::", "a", "b"));
    CHECK(done.status.exit_code() == 255);
    CHECK(done.err == "fanout: joblog '/dev/full': No space left on device\n");
    const completed_process later =
        run(fanout("-q", "--json", "/dev/full", "echo", ":::", "a", "b"));
    CHECK(later.status.exit_code() == 255);
    CHECK(later.err == "fanout: cannot write '/dev/full': No space left on device\n");
  }

  TEST_CASE("fanout_log: a line of JSON tells all of a job") {
    using nlohmann::json;
    const completed_process done = run(fanout("-k", "-q", "--json", "-", "sh", "-c",
                                              "echo out; echo err >&2; exit {}", ":::", "0", "7"));
    std::istringstream from(done.out);
    std::vector<json> told;
    for (std::string line; std::getline(from, line);) {
      told.push_back(json::parse(line));
    }
    REQUIRE(told.size() == 2);
    CHECK(told[0]["ok"] == true);
    CHECK(told[1]["ok"] == false);
    CHECK(told[1]["job"] == 2);
    CHECK(told[1]["exit"] == 7);
    CHECK(told[1]["signal"].is_null());
    CHECK(told[1]["items"] == json{"7"});
    CHECK(told[1]["args"] == json{"sh", "-c", "echo out; echo err >&2; exit 7"});
    CHECK(told[1]["stdout"] == "out\n");
    CHECK(told[1]["stderr"] == "err\n");
    CHECK(told[1]["tries"] == 1);
    CHECK(told[1]["seconds"] > 0);
    const completed_process bytes = run(fanout("--json", "-", "printf", ":::", "\\377"));
    CHECK(json::parse(bytes.out)["stdout"] == "\uFFFD");
  }

  TEST_CASE("fanout_log: a trace has an event for each job, on the line of its slot") {
    using nlohmann::json;
    const own_folder folder;
    const std::string file = (folder.path() / "trace").string();
    run(fanout("-j2", "--trace", file, "true", ":::", "1", "2", "3", "4"));
    const json trace = json::parse(text_of(file));
    REQUIRE(trace.size() == 4);
    for (const json& event : trace) {
      CHECK(event["ph"] == "X");
      CHECK(event["ts"] >= 0);
      CHECK(event["dur"] > 0);
      CHECK((event["tid"] == 1 || event["tid"] == 2));
    }
    run(fanout("--trace", file, "true", ":::"));
    CHECK(json::parse(text_of(file)) == json::array());
  }

  TEST_CASE("fanout_log: results are kept in a folder a job") {
    const own_folder folder;
    const auto path = folder.path() / "a" / "b";
    run(fanout("--results", path.string(), "sh", "-c", "echo {}; echo e{} >&2", ":::", "x", "y"));
    CHECK(text_of(path / "1" / "stdout") == "x\n");
    CHECK(text_of(path / "2" / "stderr") == "ey\n");
    const completed_process refused =
        run(fanout("-q", "--results", "/dev/null/x", "echo", ":::", "a"));
    CHECK(refused.status.exit_code() == 255);
    CHECK(refused.err.find("/dev/null/x") != std::string::npos);
  }

} // TEST_SUITE
