// run, with a shell and with signals that a child answers.

#include <subproc/run.hpp>

#include "children.hpp"

#include <asio/io_context.hpp>
#include <asio/use_future.hpp>
#include <doctest/doctest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>

#include <signal.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

/// A shell that waits for ever in reads of its stdin.
struct talker {
  explicit talker(const char* script) : cmd(shell(script).in(fd(gate.read_end.get())).out(piped)) {}

  test_pipe gate;
  command cmd;
};

template <class Error, class Action>
Error failure_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  throw std::logic_error("it did not fail");
}

/// That of the blocking form, and that of the one on a loop.
template <class Error, class Check>
void check_failures(const command& cmd, const Check& check) {
  check(failure_of<Error>([&] { run(cmd); }));
  check(failure_of<Error>([&] {
    asio::io_context context;
    auto done = async_run(context, cmd, asio::use_future);
    context.run();
    done.get();
  }));
}

} // namespace

TEST_SUITE("run") {

  TEST_CASE("run: one literal is one program, and two are two arguments [K1]") {
    CHECK(call({"false"}) == exit_status::from_code(1));
    CHECK(call({"test", ""}) == exit_status::from_code(1));
    CHECK(call({"test", "x"}) == exit_status::from_code(0));
  }

  TEST_CASE("run: a grandchild that holds the pipe is bounded by drain_timeout [T36]") {
    const leak_check leaks;
    test_pipe gate; // the grandchild ends when this closes
    const completed_process done = run(command("sh", "-c", "cat <&9 & echo now")
                                           .out(piped)
                                           .map_fds({{9, gate.read_end.get()}})
                                           .drain_timeout(50ms));
    CHECK(done.out == "now\n");
    CHECK(done.pipes_held);
    CHECK(done.status.success());
  }

  TEST_CASE("run: getoutput drops one final newline, and no status throws [K117]") {
    CHECK(getoutput("echo text") == "text");
    CHECK(getoutput("printf 'a\\n\\n'") == "a\n");
    CHECK(getoutput("printf a") == "a");
    CHECK(getoutput("exit 3") == "");
    CHECK(getstatusoutput("echo text") ==
          std::pair(exit_status::from_code(0), std::string("text")));
    const auto [status, text] = getstatusoutput("echo out; echo err >&2; exit 4");
    CHECK(status == exit_status::from_code(4));
    CHECK(text == "out\nerr");
    const auto [missing, words] = getstatusoutput("/no/such/command");
    CHECK(missing == exit_status::from_code(127));
    CHECK(words.find("/no/such/command") != std::string::npos);
    CHECK(getstatusoutput("kill -9 $$").first.returncode() == -9);
  }

  TEST_CASE("run: every launcher gives the same") {
    const leak_check leaks;
    for (const launcher_kind kind :
         {launcher_kind::none, launcher_kind::vfork, launcher_kind::fork}) {
      CAPTURE(to_string(kind));
      const auto by = make_launcher(kind);
      CHECK(run(command("cat").input("text").out(piped).launcher(by)).out == "text");
      CHECK(spawn_error_of([&] { run(command("/no/such").launcher(by)); }).step() ==
            spawn_step::exec);
    }
  }

  TEST_CASE("run: it stops by the steps, and keeps what is written meanwhile [A47] [A48]") {
    const leak_check leaks;
    const watchdog guard;
    // Its last words are more than a pipe holds.
    const talker child("trap 'head -c 300000 /dev/zero; echo end; exit 3' TERM;"
                       "echo ready; while :; do read x; done");
    const command cmd =
        command(child.cmd).timeout(100ms).stop_steps({{0, 1ms}, {SIGTERM, 1h}, {SIGKILL, 1h}});
    const auto check = [](const timeout_expired& error) {
      const completed_process& done = error.result();
      CHECK(done.timed_out);
      CHECK_FALSE(done.cancelled);
      CHECK_FALSE(done.forced);
      CHECK(done.status == exit_status::from_code(3));
      CHECK(done.out == "ready\n" + std::string(300'000, '\0') + "end\n");
    };
    check_failures<timeout_expired>(cmd, check);
  }

  TEST_CASE("run: the last step comes to who ignores the others, in its whole scope [A51] [T46]") {
    const leak_check leaks;
    const watchdog guard;
    const talker child("(trap '' TERM; while :; do read x; done) & trap 'echo term' TERM;"
                       "echo ready; while :; do read x; done");
    const command cmd = command(child.cmd).process_group(0).timeout(500ms).stop_steps(
        {{SIGTERM, 10ms}, {SIGKILL, 10s}});
    const auto check = [](const timeout_expired& error) {
      CHECK(error.result().forced);
      CHECK(error.result().status == exit_status::from_signal(SIGKILL));
      CHECK(error.result().out == "ready\nterm\n");
      CHECK_FALSE(error.result().pipes_held);
    };
    check_failures<timeout_expired>(cmd, check);
  }

  TEST_CASE("run: without steps the time-out kills at once, as Python's does [C63]") {
    const leak_check leaks;
    const talker child("trap 'echo term' TERM; echo ready; while :; do read x; done");
    const auto check = [](const timeout_expired& error) {
      CHECK(error.result().status == exit_status::from_signal(SIGKILL));
      CHECK(error.result().out == "ready\n");
    };
    const command cmd = command(child.cmd).timeout(500ms);
    check_failures<timeout_expired>(cmd, check);
  }

  TEST_CASE("run: over a limit it stops by the steps, and keeps no more than the limit [A48]") {
    const leak_check leaks;
    const watchdog guard;
    const command cmd = shell("trap 'exit 7' TERM; while :; do echo 0123456789; done")
                            .out(piped)
                            .limit(15)
                            .stop_steps({{SIGTERM, 1h}});
    const auto check = [](const operation_error& error) {
      CHECK(error.code() == errc::output_limit);
      CHECK(error.result().status == exit_status::from_code(7));
      CHECK(error.result().out == "0123456789\n0123");
      CHECK(error.result().out_dropped > 0);
    };
    check_failures<operation_error>(cmd, check);
  }

  TEST_CASE("run: who survives the steps is left to the drop policy, and not waited for [A48]") {
    const leak_check leaks;
    const watchdog guard;
    for (const drop_policy policy : {drop_policy::kill, drop_policy::detach}) {
      for (const bool blocking : {true, false}) {
        CAPTURE(blocking);
        test_pipe gate; // ends who lives on
        const command cmd = steps({"ignore:15", "say:ready", "byte:3", "exit:0"})
                                .out(piped)
                                .map_fds({{3, gate.read_end.get()}})
                                .limit(5)
                                .drop(policy)
                                .stop_steps({{SIGTERM, 5ms}, {SIGTERM, 5ms}});
        const operation_error error = failure_of<operation_error>([&] {
          if (blocking) {
            run(cmd);
            return;
          }
          asio::io_context context;
          auto done = async_run(context, cmd, asio::use_future);
          context.run();
          done.get();
        });
        CHECK(error.result().status.unknown());
        CHECK(error.result().out == "ready");
        CHECK((policy == drop_policy::kill || ::kill(error.result().pid, 0) == 0));
      }
    }
  }

  TEST_CASE("run: a stop does not wait for who holds a pipe outside of the scope [T36]") {
    const leak_check leaks;
    const watchdog guard;
    const talker child("(read x <&3) & trap 'exit 3' TERM; echo ready; while :; do read x; done");
    const command cmd = command(child.cmd)
                            .map_fds({{3, child.gate.read_end.get()}})
                            .limit(5)
                            .stop_steps({{SIGTERM, 1h}});
    const auto check = [](const operation_error& error) {
      CHECK(error.result().status == exit_status::from_code(3));
      CHECK(error.result().pipes_held);
      CHECK(error.result().out == "ready");
    };
    check_failures<operation_error>(cmd, check);
  }

  TEST_CASE("run: ok_codes are codes: no signal and no unknown status is one [C64]") {
    const leak_check leaks;
    for (const bool by_signal : {true, false}) {
      const command cmd = steps({by_signal ? "raise:9" : "exit:9"}).ok_codes({9, -9, 137}).check();
      if (by_signal) {
        CHECK(failure_of<called_process_error>([&] { run(cmd); }).result().status ==
              exit_status::from_signal(9));
        CHECK_THROWS_AS(check_call(cmd), called_process_error);
      } else {
        CHECK(run(cmd).returncode() == 9);
        CHECK(check_call(cmd).exit_code() == 9);
      }
      asio::io_context context;
      auto done = async_run(context, cmd, asio::use_future);
      context.run();
      if (by_signal) {
        CHECK_THROWS_AS(done.get(), called_process_error);
      } else {
        CHECK_NOTHROW(done.get().check_returncode());
      }
    }
    CHECK_THROWS_AS(run(command("true").ok_codes({}).check()), called_process_error);
    CHECK_THROWS_AS(run(command("true").ok_codes({1}).check()), called_process_error);
    completed_process stolen;
    stolen.cmd = command("a").ok_codes({0, -1});
    CHECK_THROWS_AS(stolen.check_returncode(), called_process_error);
  }

  TEST_CASE("run: a stop ends the whole group, also members that ignore SIGTERM [T46]") {
    const leak_check leaks;
    asio::io_context context;
    process leader(context,
                   command("sh", "-c", "sh -c 'trap \"\" TERM; echo ready; exec sleep 600' & wait")
                       .out(piped)
                       .process_group(0));
    char ready[6];
    std::size_t got = 0;
    while (got < sizeof ready) {
      got += leader.out().read_some(asio::buffer(ready + got, sizeof ready - got));
    }
    stop_result stopped;
    leader.async_stop(100ms, [&](error_code ec, stop_result result) {
      CHECK_FALSE(ec);
      stopped = std::move(result);
    });
    context.run();
    CHECK(stopped.forced);
    CHECK(stopped.survivors.empty());
  }

  TEST_CASE("run: at the time-out nobody waits for those who still hold the pipes [K68]") {
    const leak_check leaks;
    const watchdog guard; // the grandchild ends after the run, or never
    test_pipe gate;
    const timeout_expired error = failure_of<timeout_expired>([&] {
      run(shell("cat <&9; true")
              .map_fds({{9, gate.read_end.get()}})
              .capture_output()
              .timeout(100ms));
    });
    CHECK(error.result().status == exit_status::from_signal(SIGKILL));
    CHECK_FALSE(has_children());
  }

} // TEST_SUITE
