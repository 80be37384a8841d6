// The page and the test cases that fanout writes about its jobs.

#include <subproc/run.hpp>

#include "children.hpp"
#include "fanout_command.hpp"
#include "markup_reading.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <iterator>
#include <string>

using namespace subproc;
using namespace subproc::test;

TEST_SUITE("fanout_report") {

  TEST_CASE("fanout_report: the page has all jobs in figures and the failed ones by name") {
    const own_folder folder;
    const std::string file = (folder.path() / "r.html").string();
    CHECK(run(fanout("-q", "-j2", "--retries", "1", "--report", file, helper("steps"),
                     "say:some output", "warn:words", "exit:{}", ":::", "0", "3", "0"))
              .status.exit_code() == 1);
    const std::string page = folder.read("r.html");
    for (const char* part :
         {"<dt>Jobs</dt><dd>3</dd>", "<dt>Ended well</dt><dd>2</dd>", "<dt>Failed</dt><dd>1</dd>",
          "<dt>Exit code</dt><dd>1</dd>", "<dt>Tries after the first</dt><dd>1</dd>",
          "exited with 3", "some output\n</pre>", "words\n</pre>", "All 1<"}) {
      CAPTURE(part);
      CHECK(page.find(part) != std::string::npos);
    }
    CHECK(count_of(page, "class=\"bad\"") > 0);
    CHECK(page_elements(page, "table") == 4);
    CHECK(page_elements(page, "caption") == 4);
    CHECK(page_elements(page, "h2") == 5);
    CHECK(page_elements(page, "script") == 0);
    CHECK(page.find("http://") == std::string::npos);
    CHECK(page.find("https://") == std::string::npos);
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
  }

  TEST_CASE("fanout_report: no job, and one that cannot start") {
    const own_folder folder;
    const std::string html = (folder.path() / "r.html").string();
    const std::string xml = (folder.path() / "j.xml").string();
    CHECK(run(fanout("--report", html, "--junit", xml, helper("steps"), ":::")).status.success());
    CHECK(folder.read("r.html").find("No job ran.") != std::string::npos);
    CHECK(folder.read("j.xml").find(" tests=\"0\"") != std::string::npos);
    run(fanout("-q", "--report", html, "--junit", xml, "/no/such", ":::", "a"));
    CHECK(folder.read("r.html").find("could not start") != std::string::npos);
    CHECK(elements(folder.read("j.xml"), "error") == 1);
  }

  TEST_CASE("fanout_report: test cases have their counts, times and outputs") {
    const own_folder folder;
    const std::string file = (folder.path() / "j.xml").string();
    run(fanout("-q", "-k", "-j1", "--junit", file, helper("steps"), "say:out", "warn:err",
               "exit:{}", ":::", "0", "2", "1"));
    const std::string text = folder.read("j.xml");
    CHECK(text.find("<testsuite name=\"fanout\" tests=\"3\" ") != std::string::npos);
    CHECK(text.find(" failures=\"2\" ") != std::string::npos);
    CHECK(text.find(" errors=\"0\" ") != std::string::npos);
    CHECK(elements(text, "testcase") == 3);
    CHECK(elements(text, "failure") == 2);
    CHECK(count_of(text, "<system-out>out\n</system-out>") == 3);
    CHECK(count_of(text, "<system-err>err\n</system-err>") == 3);
    CHECK(text.find(" say:out warn:err exit:2\" time=\"") != std::string::npos);
    CHECK(text.find("exited with 2") != std::string::npos);
  }

  TEST_CASE("fanout_report: no such folder is one clear sentence") {
    for (const char* option : {"--report", "--junit"}) {
      CAPTURE(option);
      const completed_process none = run(fanout("-q", option, "/no/such/file", "echo", ":::", "a"));
      CHECK(none.status.exit_code() == 255);
      CHECK(none.err == "fanout: '/no/such/file': No such file or directory\n");
      CHECK(none.out == "");
    }
  }

} // TEST_SUITE
