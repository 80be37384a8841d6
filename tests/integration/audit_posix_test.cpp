// Audit hooks beside what only POSIX has: a stolen status, a fork, no descriptors, the real stderr.

#include <subproc/audit.hpp>
#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "audit_recorder.hpp"
#include "children.hpp"
#include "ended.hpp"
#include "own_process.hpp"
#include "plain_text.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

TEST_SUITE("audit") {

  TEST_CASE("audit: an exit is told once, whoever reaps the child [C72]") {
    if (!in_own_process()) {
      return;
    }
    recorder& events = record();
    const leak_check leaks;
    events.take();
    const kinds plain{spawn, started, exited};
    asio::io_context context;
    const auto once = [&](const char* what, const kinds& expected) {
      CAPTURE(what);
      CHECK(events.until_exit() == expected);
    };
    {
      process child(context, quiet());
      child.wait();
      child.wait();
      once("wait", plain);
    }
    {
      process child(context, quiet());
      for (int i = 0; i < 2; ++i) {
        child.async_wait([&](error_code, exit_status) { CHECK(events.count(exited) == 1); });
      }
      context.run();
      once("async_wait", plain);
    }
    {
      process child(context, quiet());
      CHECK(has_ended(child));
      CHECK(child.poll() == 0);
      CHECK(child.poll() == 0);
      once("poll", plain);
    }
    {
      process child(context, quiet());
      CHECK(has_ended(child));
      child.terminate();
      once("send_signal", plain);
    }
    {
      process child(context, command("echo", "x").capture_output());
      CHECK(child.communicate().out == "x\n");
      once("communicate", plain);
    }
    {
      process child(context, command("echo", "x").capture_output());
      child.async_communicate([](error_code, const communicate_result&) {});
      context.restart();
      context.run();
      once("async_communicate", plain);
    }
    {
      process child(context, unending_child());
      child.async_stop(1h, [](error_code ec, const stop_result&) { CHECK_FALSE(ec); });
      context.restart();
      context.run();
      once("async_stop", plain);
    }
    CHECK_THROWS_AS(run(unending_child().timeout(1ms)), timeout_expired);
    once("run, timed out", plain);
    async_run(context, unending_child().timeout(1ms),
              [](std::exception_ptr error, completed_process) {
                CHECK_THROWS_AS(std::rethrow_exception(error), timeout_expired);
              });
    context.restart();
    context.run();
    once("async_run, timed out", plain);
    {
      asio::io_context gone;
      async_run(gone, unending_child(), [](std::exception_ptr, completed_process) {});
      gone.run_one(); // it has started
    }
    once("a run whose loop goes", {spawn, started, dropped_alive, exited});
    {
      process child(context, quiet());
      CHECK(has_ended(child));
      CHECK_THROWS_AS(child.release(), system_error);
      once("release that comes too late", plain);
    }
    {
      process child(context, unending_child());
      REQUIRE(::kill(child.pid(), SIGKILL) == 0);
      REQUIRE(::waitpid(child.pid(), nullptr, 0) == child.pid()); // stolen
      child.wait();
      once("status taken by somebody else", plain);
    }
    process(context, quiet()).detach();
    once("reaper, detached", plain);
    {
      const process child(context, quiet());
      CHECK(has_ended(child));
    }
    once("drop of one that has ended", plain);
    { const process child(context, unending_child()); }
    once("reaper, dropped", {spawn, started, dropped_alive, exited});
    CHECK(eventually([] { return !has_children(); }));
    CHECK(events.take().empty());
  }

  TEST_CASE("audit: a process object that goes while its child runs says so once, then comes the "
            "exit [K104]") {
    if (!in_own_process()) {
      return;
    }
    recorder& events = record();
    const leak_check leaks;
    events.take();
    asio::io_context context;
    pid_type pid = -1;
    for (const drop_policy policy :
         {drop_policy::kill, drop_policy::terminate, drop_policy::detach}) {
      {
        process child(context, unending_child().drop(policy));
        process moved(std::move(child));
        pid = moved.pid();
      }
      if (policy == drop_policy::detach) {
        REQUIRE(::kill(pid, SIGTERM) == 0);
      }
      CHECK(eventually([&] { return events.count(exited) == 1; }));
      const std::vector<seen_event> seen = events.take();
      REQUIRE(seen.size() == 4);
      CHECK(seen[2].kind == dropped_alive);
      CHECK(seen[2].thread == std::this_thread::get_id());
      CHECK(seen[3].kind == exited);
      CHECK(seen[3].id == seen[0].id);
      CHECK(seen[3].pid == pid);
      CHECK(seen[3].cmd == seen[0].cmd);
      CHECK(seen[3].status ==
            exit_status::from_signal(policy == drop_policy::kill ? SIGKILL : SIGTERM));
    }
    { const process never; }
    {
      process child(context, unending_child());
      const released_child mine = child.release();
      REQUIRE(::kill(mine.pid, SIGKILL) == 0);
      REQUIRE(::waitpid(mine.pid, nullptr, 0) == mine.pid);
    }
    CHECK(events.take_kinds() == kinds{spawn, started}); // the rest is the caller's
  }

  TEST_CASE("audit: a hook may drop a child while the reaper has no descriptors [T34]") {
    if (!in_own_process_without_sanitizer()) {
      return;
    }
    const watchdog guard;
    asio::io_context context;
    const rlimit few{40, 40};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    std::optional<process> first;
    std::optional<process> second;
    std::atomic<int> exits = 0;
    add_audit_hook([&](const audit_event& event) {
      if (event.kind == exited && ++exits == 1) {
        second.reset();
      }
    });
    first.emplace(context, unending_child().drop(drop_policy::detach));
    second.emplace(context, unending_child());
    const pid_type pid = first->pid();
    std::vector<unique_handle> all;
    for (int taken = 0; (taken = ::open("/", O_PATH | O_CLOEXEC)) >= 0;) {
      all.emplace_back(taken);
    }
    first.reset();
    REQUIRE(::kill(pid, SIGKILL) == 0);
    CHECK(eventually([&] { return exits == 2; }));
  }

  TEST_CASE("audit: the copy of a process that forks has its hooks [C72]") {
    if (!in_own_process() || sanitized) { // TSan's run-time does not survive a fork with threads
      return;
    }
    warm_up();
    recorder& events = record();
    run(quiet());
    CHECK(events.take_kinds() == kinds{spawn, started, exited});
    const pid_t copy = ::fork();
    REQUIRE(copy >= 0);
    if (copy == 0) {
      run(quiet());
      asio::io_context context;
      process(context, quiet()).detach();
      const bool all = eventually([&] { return events.count(exited) == 2; });
      ::_exit(all && events.count(spawn) == 2 ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(copy, &status, 0) == copy);
    CHECK(status == 0);
    CHECK(events.take().empty());
  }

  TEST_CASE("verbose: a line at the start and one at the end, each in one write [A63]") {
    if (!in_own_process()) {
      return;
    }
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC | O_DIRECT) == 0); // a read gives what one write wrote
    const unique_handle read_end(ends[0]);
    const unique_handle own_stderr(::dup(STDERR_FILENO));
    REQUIRE(::dup2(ends[1], STDERR_FILENO) >= 0);
    ::close(ends[1]);
    run(command("sh", "-c", "exit 4", "\x1b[2J").verbose());
    try {
      run(command("no-such-program").verbose());
    } catch (const spawn_error&) {
    }
    run(command("true"));
    {
      asio::io_context context;
      process(context, command("true").verbose()).detach();
    }
    CHECK(eventually([] { return !has_children(); }));
    const auto packet = [&] {
      char buffer[4096];
      const ssize_t n = readable(read_end.get()) ? ::read(read_end.get(), buffer, 4096) : 0;
      return std::string(buffer, n < 0 ? 0 : static_cast<std::size_t>(n));
    };
    std::vector<std::string> lines;
    for (int i = 0; i < 6; ++i) {
      lines.push_back(packet());
    }
    ::dup2(own_stderr.get(), STDERR_FILENO);
    const std::string begin = "$ sh -c 'exit 4' $'\\033[2J'";
    CHECK(lines[0] == begin + '\n');
    CHECK(lines[1].starts_with(begin + ": exited with 4 after "));
    CHECK(lines[1].ends_with(" s\n"));
    CHECK(lines[2] == "$ no-such-program\n");
    CHECK(plain_text(lines[3]) ==
          "$ no-such-program: cannot start 'no-such-program': exec: No such file or "
          "directory\n");
    CHECK(lines[4] == "$ true\n");
    CHECK(lines[5].starts_with("$ true: exited with 0 after "));
    pollfd entry{read_end.get(), POLLIN, 0};
    CHECK(::poll(&entry, 1, 0) <= 1);
    CHECK((entry.revents & POLLIN) == 0);
  }

  TEST_CASE("verbose: a stderr that nobody reads ends nothing [T38]") {
    if (!in_own_process()) {
      return;
    }
    test_pipe gone;
    gone.read_end.reset();
    const unique_handle own_stderr(::dup(STDERR_FILENO));
    REQUIRE(::dup2(gone.write_end.get(), STDERR_FILENO) >= 0);
    const exit_status status = run(command("true").verbose()).status;
    ::dup2(own_stderr.get(), STDERR_FILENO);
    CHECK(status.success());
  }

} // TEST_SUITE
