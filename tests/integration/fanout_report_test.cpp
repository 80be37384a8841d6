// The page and the test cases that fanout writes about its jobs.

#include <subproc/run.hpp>

#include "children.hpp"
#include "fanout_command.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <signal.h>

using namespace subproc;
using namespace subproc::test;

namespace {

std::string contents(const std::filesystem::path& file) {
  std::ifstream from(file, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(from), {});
}

std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != text.npos; at += what.size()) {
    ++count;
  }
  return count;
}

/// How often an element begins in markup whose elements all end. Fails for what is none: a
/// parser's care, for what fanout writes.
std::size_t elements(const std::string& text, const std::string& name,
                     const std::vector<std::string>& empty_ones = {}) {
  std::vector<std::string> open;
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find('<', at)) != text.npos;) {
    const std::size_t end = text.find('>', at);
    REQUIRE(end != text.npos);
    const std::string tag = text.substr(at + 1, end - at - 1);
    at = end + 1;
    REQUIRE(tag.find('<') == tag.npos);
    REQUIRE(count_of(tag, "\"") % 2 == 0);
    if (tag.starts_with('?') || tag.starts_with('!')) {
      continue;
    }
    const std::string found = tag.substr(0, tag.find_first_of(" \n/", 1));
    if (tag.starts_with('/')) {
      REQUIRE(!open.empty());
      REQUIRE(tag == "/" + open.back());
      open.pop_back();
      continue;
    }
    count += found == name ? 1 : 0;
    if (!tag.ends_with('/') &&
        std::find(empty_ones.begin(), empty_ones.end(), found) == empty_ones.end()) {
      open.push_back(found);
    }
  }
  CHECK(open.empty());
  return count;
}

std::size_t page_elements(const std::string& page, const std::string& name) {
  return elements(page, name, {"meta"});
}

const char* const hostile = "</title></script><img src=x onerror=alert(1)>\"'";

} // namespace

TEST_SUITE("fanout_report") {

  TEST_CASE("fanout_report: the page has all jobs in figures and the failed ones by name") {
    const own_folder folder;
    const std::string file = (folder.path() / "r.html").string();
    CHECK(run(fanout("-q", "-j2", "--retries", "1", "--report", file, "sh", "-c",
                     "echo some output; echo words >&2; exit {}", ":::", "0", "3", "0"))
              .status.exit_code() == 1);
    const std::string page = contents(file);
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

  TEST_CASE("fanout_report: no job, and one that cannot start") {
    const own_folder folder;
    const std::string html = (folder.path() / "r.html").string();
    const std::string xml = (folder.path() / "j.xml").string();
    CHECK(run(fanout("--report", html, "--junit", xml, "true", ":::")).status.success());
    CHECK(contents(html).find("No job ran.") != std::string::npos);
    CHECK(contents(xml).find(" tests=\"0\"") != std::string::npos);
    run(fanout("-q", "--report", html, "--junit", xml, "/no/such", ":::", "a"));
    CHECK(contents(html).find("could not start") != std::string::npos);
    CHECK(elements(contents(xml), "error") == 1);
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

  TEST_CASE("fanout_report: test cases have their counts, times and outputs") {
    const own_folder folder;
    const std::string file = (folder.path() / "j.xml").string();
    run(fanout("-q", "-k", "-j1", "--junit", file, "sh", "-c", "echo out; echo err >&2; exit {}",
               ":::", "0", "2", "1"));
    const std::string text = contents(file);
    CHECK(text.find("<testsuite name=\"fanout\" tests=\"3\" ") != std::string::npos);
    CHECK(text.find(" failures=\"2\" ") != std::string::npos);
    CHECK(text.find(" errors=\"0\" ") != std::string::npos);
    CHECK(elements(text, "testcase") == 3);
    CHECK(elements(text, "failure") == 2);
    CHECK(count_of(text, "<system-out>out\n</system-out>") == 3);
    CHECK(count_of(text, "<system-err>err\n</system-err>") == 3);
    CHECK(text.find("name=\"2: sh -c &#39;echo out; echo err &gt;&amp;2; exit 2&#39;\" time=\"") !=
          std::string::npos);
    CHECK(text.find("exited with 2") != std::string::npos);
  }

  TEST_CASE("fanout_report: a full disk, or no such folder, is one clear sentence") {
    for (const char* option : {"--report", "--junit"}) {
      CAPTURE(option);
      const completed_process full = run(fanout("-q", option, "/dev/full", "true", ":::", "a"));
      CHECK(full.status.exit_code() == 255);
      CHECK(full.err == "fanout: cannot write '/dev/full': No space left on device\n");
      const completed_process none = run(fanout("-q", option, "/no/such/file", "echo", ":::", "a"));
      CHECK(none.status.exit_code() == 255);
      CHECK(none.err == "fanout: '/no/such/file': No such file or directory\n");
      CHECK(none.out == "");
    }
    CHECK(std::filesystem::is_character_file("/dev/full"));
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

} // TEST_SUITE
