// The page and the test cases of jobs that are shells, of an interrupted run, on a full disk.

#include <subproc/run.hpp>

#include "children.hpp"
#include "fanout_command.hpp"
#include "markup_reading.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <iterator>
#include <string>

#include <signal.h>

using namespace subproc;
using namespace subproc::test;

namespace {

const char* const hostile = "</title></script><img src=x onerror=alert(1)>\"'";

} // namespace

TEST_SUITE("fanout_report") {

  TEST_CASE("fanout_report: what a job is called and what it writes is text, whatever it is") {
    const own_folder folder;
    const std::string html = (folder.path() / "r.html").string();
    const std::string xml = (folder.path() / "j.xml").string();
    run(fanout("-q", "--report", html, "--junit", xml, "sh", "-c",
               "printf '%s\\0\\033[1m\\377' \"$0\"; printf '%s' \"$0\" >&2; exit 1",
               ":::", hostile));
    const std::string page = contents(html);
    CHECK(page_elements(page, "img") == 0);
    CHECK(page_elements(page, "title") == 2); // its own, and that of the bar
    CHECK(count_of(page, "onerror=alert(1)") >= 6);
    CHECK(count_of(page, "&lt;img src=x onerror=alert(1)") >= 6);
    const std::string cases = contents(xml);
    CHECK(elements(cases, "testcase") == 1);
    CHECK(elements(cases, "failure") == 1);
    CHECK(elements(cases, "img") == 0);
    CHECK(cases.find("\uFFFD\uFFFD[1m\uFFFD</system-out>") != std::string::npos);
    for (const unsigned char c : cases) {
      CHECK((c >= 0x20 || c == '\n'));
    }
  }

  TEST_CASE("fanout_report: many jobs make no larger page, and it says what it left out") {
    const own_folder folder;
    const auto page_of = [&](int jobs) {
      const std::string file = (folder.path() / "r.html").string();
      std::string items;
      for (int i = 0; i < jobs; ++i) {
        items += "x\n";
      }
      run(command(fanout_program(), "-q", "-j4", "--report", file, helper("nothing"))
              .input(items)
              .out(null));
      return contents(file);
    };
    const std::string page = page_of(2500);
    CHECK(page.find("<dt>Jobs</dt><dd>2500</dd>") != std::string::npos);
    CHECK(page.find("are one bar") != std::string::npos);
    CHECK(count_of(page, "<rect") < 2100);
    CHECK(page_of(10).find("are one bar") == std::string::npos);
  }

  TEST_CASE("fanout_report: both are written after Ctrl-C, with what was stopped") {
    const leak_check leaks;
    const own_folder folder;
    const std::string html = (folder.path() / "r.html").string();
    const std::string xml = (folder.path() / "j.xml").string();
    const communicate_result done =
        signalled(SIGINT, fanout("-j1", "-u", "--report", html, "--junit", xml, "sh", "-c",
                                 "echo up; exec sleep 600", ":::", "a"));
    CHECK(done.status.exit_code() == 130);
    const std::string page = contents(html);
    CHECK(page.find("Interrupted by signal 2.") != std::string::npos);
    CHECK(page.find("<dt>Stopped with fanout</dt><dd>1</dd>") != std::string::npos);
    CHECK(elements(contents(xml), "skipped") == 1);
  }

  TEST_CASE("fanout_report: what was there stays until the new page is complete") {
    const own_folder folder;
    folder.write("r.html", "before");
    std::filesystem::create_symlink("r.html", folder.path() / "link");
    const auto write_page = [&](const char* item, const char* joblog) {
      return run(fanout("-q", "--joblog", joblog, "--report", (folder.path() / "link").string(),
                        "cat", ":::", item));
    };
    const std::string old = (folder.path() / "r.html").string();
    CHECK(write_page(old.c_str(), "/dev/null").out == "before");
    CHECK(contents(old).starts_with("<!DOCTYPE html>"));
    CHECK(std::filesystem::is_symlink(folder.path() / "link"));
    CHECK(write_page(old.c_str(), "/dev/full").status.exit_code() == 255);
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 2);
  }

  TEST_CASE("fanout_report: a full disk is one clear sentence") {
    for (const char* option : {"--report", "--junit"}) {
      CAPTURE(option);
      const completed_process full = run(fanout("-q", option, "/dev/full", "true", ":::", "a"));
      CHECK(full.status.exit_code() == 255);
      CHECK(full.err == "fanout: cannot write '/dev/full': No space left on device\n");
    }
    CHECK(std::filesystem::is_character_file("/dev/full"));
  }

} // TEST_SUITE
