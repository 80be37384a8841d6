// What no platform can start: the error names what was wrong, and nothing is left.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "bad_start.hpp"
#include "children.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

constexpr std::array time_outs{-1.0, -std::numeric_limits<double>::infinity(),
                               std::numeric_limits<double>::quiet_NaN(), 0.0};

constexpr duration seconds(double number) { return std::chrono::duration<double>(number); }

// Each as it is and with all streams piped; nothing may be left of any.
void check_bad_starts(const std::vector<bad_start>& table) {
  for (bad_start bad : table) {
    const bool has_streams = bad.cmd.in() || bad.cmd.out() || bad.cmd.err();
    check_bad_start(bad);
    if (!has_streams) {
      check_bad_start({bad.cmd.input("x").capture_output(), bad.code, bad.step, bad.path});
    }
  }
  CHECK_FALSE(has_children());
}

} // namespace

TEST_SUITE("bad_input") {

  TEST_CASE("bad_input: a program that is not there is named and leaves nothing [T4] [T5]") {
    const leak_check leaks;
    const own_folder folder;
    const auto missing = std::errc::no_such_file_or_directory;
    const std::string path = folder / "missing";
    const std::string here = folder.path().string();
    check_bad_starts({
        {command(path), missing, spawn_step::exec, path},
        {command("no-such-program"), missing, spawn_step::exec, "no-such-program"},
        {command("no-such-program").env({{"PATH", here}}), missing, spawn_step::exec,
         "no-such-program"},
        {command("any name").executable(path), missing, spawn_step::exec, path},
        {command(here), std::errc::permission_denied, spawn_step::exec, here},
        {steps({}).cwd(path), missing, spawn_step::chdir, path},
        // Both are wrong: it is the directory that comes first.
        {command("no-such-program").cwd(path), missing, spawn_step::chdir, path},
    });
  }

  TEST_CASE("bad_input: a file that cannot be opened is named by its path [T4] [T5]") {
    const leak_check leaks;
    const own_folder folder;
    const auto missing = std::errc::no_such_file_or_directory;
    const std::string path = folder / "missing";
    const std::string below = path + "/file";
    const std::string there = folder.write("there", "text");
    check_bad_starts({
        {steps({}).in(file(path)), missing, spawn_step::open, path},
        {steps({}).out(file(below)), missing, spawn_step::open, below},
        {steps({}).err(file(below)), missing, spawn_step::open, below},
        {steps({}).out(file("")), missing, spawn_step::open, ""},
        {steps({}).out(file(there, open_mode::create_new)), std::errc::file_exists,
         spawn_step::open, there},
        // What was opened before it is closed again.
        {steps({}).in(file(there)).out(piped).err(file(below)), missing, spawn_step::open, below},
    });
    CHECK(folder.read("there") == "text");
  }

  TEST_CASE("bad_input: wrong arguments are refused by name before anything starts "
            "[T4] [T5] [K11] [K66]") {
    const leak_check leaks;
    const std::string nul("a\0b", 3);
    struct wrong {
      command cmd;
      const char* option;
      const char* words;
    };
    const std::vector<wrong> table{
        {command(), "args", "empty"},
        {command(""), "args", "empty"},
        {command(nul), "args", "argument 0 'a\\0b'"},
        {command("true", "x", nul), "args", "argument 2 'a\\0b'"},
        {command("true").executable(nul), "executable", "NUL"},
        {command("true").executable(""), "executable", "empty"},
        {command("true").cwd(nul), "cwd", "NUL"},
        {command("true").env({{"A=B", "x"}}), "env", "'A=B'"},
        {command("true").env({{"", "x"}}), "env", "empty"},
        {command("true").env({{nul, "x"}}), "env", "'a\\0b'"},
        {command("true").env({{"NAME", nul}}), "env", "'NAME'"},
        {command("true").in(file(nul)), "in", "'a\\0b'"},
        {command("true").out(file(nul)), "out", "'a\\0b'"},
        {command("true").err(file(nul)), "err", "'a\\0b'"},
        {command("true").out(file("/x", open_mode::read)), "out", "'/x'"},
        {command("true").in(file("/x", open_mode::append)), "in", "'/x'"},
        {command("true").input("x").in(null), "input", "input and in cannot be given together"},
        {command("true").capture_output().out(null), "capture_output",
         "capture_output and out cannot be given together"},
        {command("true").capture_output().err(merge), "capture_output",
         "capture_output and err cannot be given together"},
        {command("true").pipe_size(0).out(piped), "pipe_size", "0"},
    };
    for (const wrong& each : table) {
      CAPTURE(each.words);
      check_bad_start({each.cmd, std::errc::invalid_argument, spawn_step::arguments, each.option});
      const std::string what = spawn_error_of([&] { run(each.cmd); }).what();
      CHECK_MESSAGE(what.find(each.words) != std::string::npos, what);
    }
    CHECK_FALSE(has_children());
  }

  TEST_CASE("bad_input: a time-out that is negative, zero or no number has passed at once") {
    const leak_check leaks;
    const watchdog guard;
    const command forever = unending_child();
    for (const double number : time_outs) {
      CAPTURE(number);
      CHECK_THROWS_AS(run(command(forever).timeout(seconds(number))), timeout_expired);
      asio::io_context context;
      process child(context, forever);
      CHECK_THROWS_AS(child.wait(seconds(number)), timeout_expired);
      CHECK_THROWS_AS(child.communicate({}, seconds(number)), timeout_expired);
      CHECK_FALSE(child.poll());
      error_code waited;
      error_code stopped;
      child.async_wait(seconds(number), [&](error_code ec, exit_status) { waited = ec; });
      context.run();
      CHECK(waited == asio::error::timed_out);
      context.restart();
      child.async_stop(seconds(number), [&](error_code ec, stop_result) { stopped = ec; });
      context.run();
      CHECK_FALSE(stopped);
      CHECK((child.status() == killed() || child.status() == terminated()));
    }
    CHECK_THROWS_AS(run(command(forever).deadline(steady_clock::time_point::min())),
                    timeout_expired);
  }

  TEST_CASE("bad_input: an infinite time-out never passes") {
    const leak_check leaks;
    const watchdog guard;
    const duration endless = seconds(std::numeric_limits<double>::infinity());
    CHECK(run(steps({"echo"})
                  .input("text")
                  .out(piped)
                  .timeout(endless)
                  .drain_timeout(endless)
                  .deadline(steady_clock::time_point::max()))
              .out == "text");
    asio::io_context context;
    process child(context, steps({"echo"}).in(piped).out(piped));
    stop_result stopped;
    bool waited = false;
    child.async_wait(endless, [&](error_code ec, exit_status) { waited = !ec; });
    child.async_stop(endless, [&](error_code, stop_result result) { stopped = std::move(result); });
    context.run();
    CHECK(waited);
    CHECK_FALSE(stopped.forced);
    CHECK(stopped.status == terminated());
  }

} // TEST_SUITE
