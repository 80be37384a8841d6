// What fanout keeps of its jobs: after SIGKILL, on a full disk, of bytes that are no text.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "fanout_command.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <signal.h>

using namespace subproc;
using namespace subproc::test;

TEST_SUITE("fanout_log") {

  TEST_CASE("fanout_log: killed at any moment, a run goes on and no job is lost or repeated") {
    const leak_check leaks;
    const own_folder folder;
    const int jobs = times(120);
    std::vector<std::string> args{fanout_program(), "-j4", "-q", "--joblog",      folder / "log",
                                  "--resume",       "sh",  "-c", "echo {} >>ran", ":::"};
    for (int i = 1; i <= jobs; ++i) {
      args.push_back(std::to_string(i));
    }
    int kills = 0;
    for (int step = 1;; step += 2) {
      const std::set<int> logged = [&] {
        std::set<int> all;
        for (const auto& [job, count] : jobs_in(folder.read("log"))) {
          CHECK(count == 1);
          all.insert(job);
        }
        return all;
      }();
      const std::string before = folder.read("ran");
      asio::io_context context;
      process child(context, command(args).in(null).out(null).cwd(folder.path()));
      // Some way into it, however slow the machine is.
      const auto lines = [&] {
        const std::string text = folder.read("ran");
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
      std::istringstream since(folder.read("ran").substr(before.size()));
      for (int job = 0; since >> job;) {
        CHECK(logged.count(job) == 0);
      }
      if (over) {
        CHECK(status.success());
        break;
      }
    }
    CHECK(kills > 3);
    const auto in_log = jobs_in(folder.read("log"));
    CHECK(in_log.size() == static_cast<std::size_t>(jobs));
    std::set<int> have_run;
    std::istringstream all(folder.read("ran"));
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

  TEST_CASE("fanout_log: what is no UTF-8 is replaced in JSON") {
    const completed_process bytes = run(fanout("--json", "-", "printf", ":::", "\\377"));
    CHECK(nlohmann::json::parse(bytes.out)["stdout"] == "\uFFFD");
  }

} // TEST_SUITE
