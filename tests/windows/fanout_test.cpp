// fanout on Windows: its streams, its arguments, the ends of its jobs. What it does with items and
// jobs is the same everywhere (tests/integration/fanout_test.cpp).

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "child_support.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <string>

using namespace subproc;
using namespace subproc::test;

namespace {

template <class... Args>
command fanout(const Args&... args) {
  return command(fanout_program(), args...).capture_output().in(null);
}

} // namespace

TEST_SUITE("windows: fanout") {
  TEST_CASE("windows: fanout runs the command for each argument, in order if that is wanted") {
    const completed_process done =
        run(fanout("-k", helper("steps"), "say:{}", ":::", "a b", "\"", ""));
    CHECK(done.status.success());
    CHECK(done.out == "a b\n\"\n\n");
    CHECK(done.err.empty());
  }

  TEST_CASE("windows: fanout takes its arguments as UTF-8, whatever the code page") {
    const completed_process done =
        run(fanout(helper("arguments"), "{}", ":::", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
    CHECK(done.status.success());
    CHECK(done.out.ends_with(std::string("\0\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\0", 11)));
  }

  TEST_CASE("windows: fanout takes a path apart at both slashes and behind its drive") {
    const completed_process done =
        run(fanout("-k", helper("steps"), "say:{/} {//} {/.}", ":::", "d\\a.c", "C:\\x/b.c",
                   "C:\\c", "C:c", "\\c", "c"));
    CHECK(done.out == "a.c d a\nb.c C:\\x b\nc C:\\ c\nc C: c\nc \\ c\nc . c\n");
  }

  TEST_CASE("windows: fanout takes items from stdin as bytes, carriage returns too") {
    std::string items;
    for (int i = 0; i < 20; ++i) {
      items += std::to_string(i) + "\r\n";
    }
    const completed_process done = run(
        command(fanout_program(), "-k", helper("steps"), "say:{}").capture_output().input(items));
    CHECK(done.status.success());
    CHECK(done.out == items);
  }

  TEST_CASE("windows: fanout counts failures, and ends a job that takes too long with its tree") {
    const completed_process failed =
        run(fanout(helper("steps"), "exit:{}", ":::", "0", "3", "0", "4"));
    CHECK(failed.status == exit_status::from_code(2));
    CHECK(failed.err.find("exited with 3") != std::string::npos);

    // Two levels, neither of which ends by itself, hold the pipe.
    const completed_process late =
        run(fanout("--timeout", "0.5", helper("tree"), "{}", ":::", "2"));
    CHECK(late.status == exit_status::from_code(1));
    CHECK(late.err.find("killed, it took more than 0.5 s") != std::string::npos);
  }

  TEST_CASE("windows: fanout passes lines on as they come, or leaves its streams to the jobs") {
    const completed_process lines =
        run(fanout("--line-buffer", "--tag", helper("steps"), "say:x", "say:y", ":::", "exit:0"));
    CHECK(lines.status.success());
    CHECK(lines.out == "exit:0\tx\nexit:0\ty\n");
    const completed_process direct = run(fanout("-u", helper("steps"), "say:{}", ":::", "z"));
    CHECK(direct.status.success());
    CHECK(direct.out == "z\n");
  }

  TEST_CASE("windows: fanout writes a page and test cases, in the place of older ones") {
    const own_folder folder;
    folder.write("page.html", "old");
    const completed_process done =
        run(fanout("--report", folder / "page.html", "--junit", folder / "cases.xml",
                   helper("steps"), "exit:{}", ":::", "0", "7"));
    CHECK(done.status == exit_status::from_code(1));
    const std::string page = folder.read("page.html");
    CHECK(page.starts_with("<!DOCTYPE html>"));
    CHECK(page.find("exited with 7") != std::string::npos);
    CHECK(folder.read("cases.xml").find(" tests=\"2\"") != std::string::npos);
  }

  TEST_CASE("windows: fanout gives cmd.exe no item that could be taken for a command") {
    const completed_process done = run(fanout("-k", "--shell", "echo", ":::", "plain", "a b",
                                              "c&echo d", "%PATH%", "\"&echo e", "f|more"));
    CHECK(done.out == "plain\r\n\"a b\"\r\n");
    CHECK(done.status == exit_status::from_code(4));
    CHECK(done.err.find("cannot be quoted for this shell") != std::string::npos);
    // Nor one between quotes of the script's own, which end where the item's begin.
    CHECK(run(fanout("--shell", "echo \"{}\"", ":::", "a&echo b")).out.empty());
  }

  TEST_CASE("windows: fanout whose reader goes ends well") {
    asio::io_context context;
    process child(context,
                  command(fanout_program(), "-j", "1", helper("steps"), "say:{}", ":::", "a", "b")
                      .in(null)
                      .out(piped)
                      .err(piped));
    child.out().close();
    const communicate_result result = child.communicate();
    CHECK(result.status.success());
    CHECK(result.err.empty());
  }
}
