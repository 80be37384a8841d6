// What fanout keeps of its jobs, and how a run goes on where another one ended.

#include <subproc/run.hpp>

#include "children.hpp"
#include "fanout_command.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

using namespace subproc;
using namespace subproc::test;

TEST_SUITE("fanout_log") {

  TEST_CASE("fanout_log: what is in the log is not run again, or only what failed") {
    const own_folder folder;
    const std::string log = (folder.path() / "log").string();
    const auto go_on = [&](const char* how, const char* last) {
      return run(fanout("-k", "-q", "--joblog", log, how, helper("steps"), "say:{}", "exit:{}",
                        ":::", "0", "1", "0", last));
    };
    CHECK(run(fanout("-q", "--joblog", log, helper("steps"), "say:{}", "exit:{}", ":::", "0", "1"))
              .status.exit_code() == 1);
    CHECK(go_on("--resume", "3").out == "0\n3\n");
    CHECK(go_on("--resume", "3").out == "");
    const completed_process again = go_on("--resume-failed", "3");
    CHECK(again.out == "1\n3\n");
    CHECK(again.status.exit_code() == 2);
    CHECK(jobs_in(folder.read("log")) == std::map<int, int>{{1, 1}, {2, 2}, {3, 1}, {4, 2}});
  }

  TEST_CASE("fanout_log: the log of other jobs, and what is none, are refused") {
    const own_folder folder;
    const std::string log = (folder.path() / "log").string();
    run(fanout("--joblog", log, helper("steps"), "say:{}", ":::", "a", "b"));
    const completed_process other =
        run(fanout("--joblog", log, "--resume", helper("steps"), "say:{}", ":::", "a", "c", "d"));
    CHECK(other.status.exit_code() == 255);
    CHECK(other.err.find("its job 2 was not ") != std::string::npos);
    CHECK(other.out == "");
    std::ofstream(log) << "something\nelse\n";
    const completed_process none =
        run(fanout("--joblog", log, "--resume", helper("steps"), "say:{}", ":::", "a"));
    CHECK(none.status.exit_code() == 255);
    CHECK(none.err.find("line 1 is none of a job log") != std::string::npos);
    CHECK(run(fanout("--resume", helper("steps"), "say:{}", ":::", "a")).status.exit_code() == 255);
  }

  TEST_CASE("fanout_log: a line that was cut off counts for nothing") {
    const own_folder folder;
    const std::string log = (folder.path() / "log").string();
    run(fanout("-j1", "--joblog", log, helper("steps"), "say:{}", ":::", "a", "b"));
    std::filesystem::resize_file(log, std::filesystem::file_size(log) - 3);
    CHECK(
        run(fanout("--joblog", log, "--resume", helper("steps"), "say:{}", ":::", "a", "b")).out ==
        "b\n");
    CHECK(jobs_in(folder.read("log")) == std::map<int, int>{{1, 1}, {2, 1}});
  }

  TEST_CASE("fanout_log: a line of JSON tells all of a job") {
    using nlohmann::json;
    const completed_process done = run(fanout("-k", "-q", "--json", "-", helper("steps"), "say:out",
                                              "warn:err", "exit:{}", ":::", "0", "7"));
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
    CHECK(told[1]["args"] == json{helper("steps"), "say:out", "warn:err", "exit:7"});
    CHECK(told[1]["stdout"] == "out\n");
    CHECK(told[1]["stderr"] == "err\n");
    CHECK(told[1]["tries"] == 1);
    CHECK(told[1]["seconds"] > 0);
  }

  TEST_CASE("fanout_log: a trace has an event for each job, on the line of its slot") {
    using nlohmann::json;
    const own_folder folder;
    const std::string file = (folder.path() / "trace").string();
    run(fanout("-j2", "--trace", file, helper("steps"), "exit:0", ":::", "1", "2", "3", "4"));
    const json trace = json::parse(folder.read("trace"));
    REQUIRE(trace.size() == 4);
    for (const json& event : trace) {
      CHECK(event["ph"] == "X");
      CHECK(event["ts"] >= 0);
      CHECK(event["dur"] > 0);
      CHECK((event["tid"] == 1 || event["tid"] == 2));
    }
    run(fanout("--trace", file, helper("steps"), "exit:0", ":::"));
    CHECK(json::parse(folder.read("trace")) == json::array());
  }

  TEST_CASE("fanout_log: results are kept in a folder a job") {
    const own_folder folder;
    const auto path = folder.path() / "a" / "b";
    run(fanout("--results", path.string(), helper("steps"), "say:{}", "warn:e{}", ":::", "x", "y"));
    CHECK(folder.read("a/b/1/stdout") == "x\n");
    CHECK(folder.read("a/b/2/stderr") == "ey\n");
    const std::string below = folder.write("file", "") + "/x";
    const completed_process refused = run(fanout("-q", "--results", below, "echo", ":::", "a"));
    CHECK(refused.status.exit_code() == 255);
    CHECK(refused.err.find(below) != std::string::npos);
  }

} // TEST_SUITE
