// Stops of groups and sessions, by signals that a child answers or ignores.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "ended.hpp"
#include "own_process.hpp"
#include "stop_answer.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/read_until.hpp>
#include <asio/steady_timer.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

command family(const std::vector<std::string>& roles) {
  std::vector<std::string> args{helper("family")};
  args.insert(args.end(), roles.begin(), roles.end());
  return command(args).out(piped);
}

std::string read_line(process& child) {
  std::string line;
  asio::read_until(child.out(), asio::dynamic_buffer(line), '\n');
  return line;
}

// The member's pid, once leader and member are ready.
int member_of(process& leader) { return std::stoi(read_line(leader)); }

// Whether nobody holds the child's stdout any more; asks, and does not wait.
bool nobody_writes(process& child) {
  pollfd entry{child.out().native_handle(), POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1 && (entry.revents & POLLHUP) != 0;
}

// It ends with 3 at the line "end"; the signal of a trap ends a read, not the loop.
command shell_that_answers_term() {
  return shell("trap 'echo term' TERM; echo ready; until [ \"$line\" = end ]; do read line; done;"
               "exit 3")
      .in(piped)
      .out(piped);
}

} // namespace

TEST_SUITE("stop") {

  TEST_CASE("stop: it is over when the scope is empty, whoever obeys [T46] [T47]") {
    const leak_check leaks;
    struct row {
      const char* leader;
      const char* member;
      bool forced;
    };
    for (const row& each : {row{"obeys", "obeys", false}, row{"obeys", "ignores", true},
                            row{"ignores", "obeys", true}, row{"ignores", "ignores", true},
                            row{"leaves", "obeys", false}, row{"leaves", "ignores", true}}) {
      for (const bool session : {false, true}) {
        for (const launcher_kind kind :
             {launcher_kind::none, launcher_kind::vfork, launcher_kind::fork}) {
          CAPTURE(each.leader);
          CAPTURE(each.member);
          CAPTURE(session);
          CAPTURE(to_string(kind));
          asio::io_context context;
          command cmd = family({each.leader, each.member}).launcher(make_launcher(kind));
          process child(context, session ? cmd.new_session() : cmd.process_group(0));
          member_of(child);
          if (each.leader == std::string("leaves")) {
            CHECK(child.wait().success()); // the leader is reaped, its member lives
            CHECK_FALSE(nobody_writes(child));
          }

          stop_answer stopped;
          child.async_stop(each.forced ? duration(10ms) : duration(1h), stopped.handler());
          CHECK(stopped.calls == 0);
          context.run();
          CHECK(stopped.calls == 1);
          CHECK_FALSE(stopped.ec);
          CHECK(stopped.result.forced == each.forced);
          CHECK(stopped.result.survivors.empty());
          CHECK(nobody_writes(child));
          CHECK(stopped.result.status == child.wait());
        }
      }
    }
  }

  TEST_CASE("stop: a member in a group of its own is within the session, not the group") {
    const leak_check leaks;
    asio::io_context context;
    process in_session(context, family({"obeys", "obeys", "group"}).new_session());
    member_of(in_session);
    stop_answer stopped;
    in_session.async_stop(1h, stopped.handler());
    context.run();
    CHECK(stopped.calls == 1);
    CHECK_FALSE(stopped.ec);
    CHECK(nobody_writes(in_session));

    process in_group(context, family({"obeys", "obeys", "group"}).process_group(0));
    const int member = member_of(in_group);
    in_group.async_stop(1h, stopped.handler());
    context.restart();
    context.run();
    CHECK(stopped.calls == 2);
    CHECK_FALSE(stopped.ec);
    CHECK_FALSE(nobody_writes(in_group));
    CHECK(::kill(member, SIGKILL) == 0);
    CHECK(eventually([&] { return nobody_writes(in_group); }));
  }

  TEST_CASE("stop: a daemon with a session of its own has left the scope, as documented [T48]") {
    const leak_check leaks;
    asio::io_context context;
    for (const bool session : {false, true}) {
      CAPTURE(session);
      command cmd = family({"obeys", "obeys", "session"});
      process child(context, session ? cmd.new_session() : cmd.process_group(0));
      const int daemon = member_of(child);
      stop_answer stopped;
      child.async_stop(1h, stopped.handler());
      context.restart();
      context.run();
      CHECK(stopped.calls == 1);
      CHECK_FALSE(stopped.ec);
      CHECK(stopped.result.status == exit_status::from_signal(SIGTERM));
      CHECK(stopped.result.survivors.empty());
      CHECK_FALSE(nobody_writes(child));
      CHECK(::kill(daemon, SIGKILL) == 0);
      CHECK(eventually([&] { return nobody_writes(child); }));
    }
  }

  TEST_CASE("stop: without a group of its own the child alone is stopped") {
    const leak_check leaks;
    asio::io_context context;
    // One in the caller's own group, and one that says so: the caller must survive both.
    for (const command& cmd :
         {family({"obeys", "obeys"}), family({"obeys", "obeys"}).process_group(::getpgrp())}) {
      process child(context, cmd);
      const int member = member_of(child);
      stop_answer stopped;
      child.async_stop(1h, stopped.handler());
      context.restart();
      context.run();
      CHECK(stopped.calls == 1);
      CHECK_FALSE(stopped.ec);
      CHECK_FALSE(nobody_writes(child));
      CHECK(::kill(member, SIGKILL) == 0);
      CHECK(eventually([&] { return nobody_writes(child); }));
    }
  }

  TEST_CASE("stop: the caller's own group is refused, and the drop kills the child alone [T49]") {
    if (own_part().empty()) {
      const leak_check leaks;
      // A program that leads neither session nor group may move into the child's.
      run_part("1");
      return;
    }
    const watchdog guard;
    asio::io_context context;
    std::optional<process> child(std::in_place, context,
                                 command(helper("forever")).out(null).err(null).process_group(0));
    const int pid = child->pid();
    const int before = ::getpgrp();
    REQUIRE(::setpgid(0, child->pid()) == 0);
    for (const auto grace : {duration(0s), duration(1h)}) {
      stop_answer stopped;
      child->async_stop(grace, stopped.handler());
      context.restart();
      context.run();
      CHECK(stopped.calls == 1);
      CHECK(stopped.ec == std::errc::operation_not_permitted);
    }
    CHECK(child->poll() == std::nullopt);
    child.reset();
    static_cast<void>(::setpgid(0, before)); // when there is still such a group
    if (!eventually([pid] { return ::kill(pid, 0) < 0; })) {
      FAIL_CHECK("the child lives on");
      ::kill(pid, SIGKILL);
    }
    CHECK(eventually([] { return !has_children(); }));
  }

  TEST_CASE("stop: a scope that cannot be looked at for want of descriptors is not empty [T46]") {
    if (!in_own_process_without_sanitizer()) {
      return;
    }
    const leak_check leaks;
    const rlimit few{240, 240}; // more than what leak_check has opened
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    for (const std::size_t left : {std::size_t{0}, std::size_t{1}}) {
      CAPTURE(left);
      asio::io_context context;
      const test_pipe gate;
      process leader(context, shell("(trap '' TERM; echo ready; read x) <&3 & wait")
                                  .out(piped)
                                  .map_fds({{3, gate.read_end.get()}})
                                  .process_group(0));
      CHECK(read_line(leader) == "ready\n");
      asio::steady_timer(context, 0s).wait(); // the loop has what it needs
      std::vector<unique_handle> all;
      for (int taken = 0; (taken = ::open("/", O_PATH | O_CLOEXEC)) >= 0;) {
        all.emplace_back(taken);
      }
      all.resize(all.size() - left);
      stop_answer answer;
      leader.async_stop(1ms, answer.handler());
      context.run();
      all.clear();
      CHECK(answer.calls == 1);
      CHECK(answer.result.forced);
      CHECK(readable(leader.out().native_handle()));
      CHECK(nobody_writes(leader));
    }
  }

  TEST_CASE("stop: within the grace there is one SIGTERM and no more") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, shell_that_answers_term());
    CHECK(read_line(child) == "ready\n");
    stop_answer stopped;
    child.async_stop(1h, stopped.handler());
    context.poll();
    CHECK(read_line(child) == "term\n");
    CHECK(stopped.calls == 0);
    CHECK(child.poll() == std::nullopt);

    CHECK(child.in().write_some(asio::buffer("end\n", 4)) == 4); // it ends in its own way
    context.run();
    CHECK(stopped.calls == 1);
    CHECK_FALSE(stopped.ec);
    CHECK_FALSE(stopped.result.forced);
    CHECK(stopped.result.status == exit_status::from_code(3));
    CHECK(child.communicate().out.empty());
  }

  TEST_CASE("stop: SIGKILL comes after the grace, not before, and also to a stopped child") {
    const leak_check leaks;
    asio::io_context context;
    for (const bool halted : {false, true}) {
      process child(context, shell_that_answers_term());
      CHECK(read_line(child) == "ready\n");
      if (halted) {
        child.send_signal(SIGSTOP);
        siginfo_t info{};
        REQUIRE(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WSTOPPED | WNOWAIT) == 0);
      }
      const auto begin = std::chrono::steady_clock::now();
      stop_answer stopped;
      child.async_stop(60ms, stopped.handler());
      context.restart();
      context.run();
      CHECK(std::chrono::steady_clock::now() - begin >= 60ms);
      CHECK_FALSE(stopped.ec);
      CHECK(stopped.result.forced);
      CHECK(stopped.result.status == exit_status::from_signal(SIGKILL));
    }
  }

  TEST_CASE("stop: the steps are carried out in order, each with its time [A47] [A48]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, shell("trap 'echo int' INT; trap 'echo hup' HUP; trap 'echo term' TERM;"
                                 "echo ready; until [ \"$line\" = end ]; do read line; done")
                               .in(piped)
                               .out(piped));
    CHECK(read_line(child) == "ready\n");
    const std::vector<stop_step> all{
        {SIGINT, 40ms}, {0, 30ms}, {SIGHUP, 20ms}, {SIGTERM, 10ms}, {SIGKILL, 10s}};
    const auto begin = std::chrono::steady_clock::now();
    stop_answer stopped;
    child.async_stop(all, stopped.handler());
    CHECK(stopped.calls == 0);
    context.run();
    CHECK(std::chrono::steady_clock::now() - begin >= 100ms);
    CHECK(stopped.calls == 1);
    CHECK_FALSE(stopped.ec);
    CHECK(stopped.result.forced);
    CHECK(stopped.result.signals == std::vector<int>{SIGINT, 0, SIGHUP, SIGTERM, SIGKILL});
    CHECK(stopped.result.status == exit_status::from_signal(SIGKILL));
    CHECK(child.communicate().out == "int\nhup\nterm\n");
  }

  TEST_CASE("stop: it ends with the first step that was enough [A48] [A51]") {
    const leak_check leaks;
    asio::io_context context;
    for (const bool group : {false, true}) {
      CAPTURE(group);
      command cmd = command(helper("forever"));
      process child(context, group ? cmd.process_group(0) : cmd);
      stop_answer stopped;
      child.async_stop({{0, 1ms}, {SIGUSR1, 1h}, {SIGKILL, 1h}}, stopped.handler());
      context.restart();
      context.run();
      CHECK_FALSE(stopped.ec);
      CHECK_FALSE(stopped.result.forced);
      CHECK(stopped.result.signals == std::vector<int>{0, SIGUSR1});
      CHECK(stopped.result.status == exit_status::from_signal(SIGUSR1));
    }
  }

  TEST_CASE("stop: steps that do not end in SIGKILL end there and name who is left [A48]") {
    const leak_check leaks;
    asio::io_context context;
    process leader(context, family({"obeys", "ignores"}).process_group(0));
    const int member = member_of(leader);
    const std::vector<stop_step> polite{{SIGTERM, 5ms}, {SIGTERM, 5ms}};
    stop_answer stopped;
    leader.async_stop(polite, stopped.handler());
    context.run();
    CHECK(stopped.ec == errc::not_stopped);
    CHECK_FALSE(stopped.result.forced);
    CHECK(stopped.result.signals == std::vector<int>{SIGTERM, SIGTERM});
    CHECK(stopped.result.status == exit_status::from_signal(SIGTERM));
    CHECK(stopped.result.survivors == std::vector<int>{member});
    CHECK(::kill(member, 0) == 0);

    error_code ec;
    CHECK(leader.stop(polite, ec).survivors == std::vector<int>{member});
    CHECK(ec == errc::not_stopped);
    try {
      leader.stop(polite);
      FAIL("no exception");
    } catch (const system_error& error) {
      CHECK(error.code() == errc::not_stopped);
      CHECK(std::string(error.what()).find(std::to_string(member)) != std::string::npos);
    }
    CHECK(leader.stop(std::vector<stop_step>{{SIGKILL, 10s}}).survivors.empty());
    CHECK(nobody_writes(leader));
  }

  TEST_CASE("stop: wrong steps are refused, and nothing is sent [A48]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, command(helper("forever")));
    for (const std::vector<stop_step>& wrong :
         {std::vector<stop_step>(), {{SIGKILL, 1s}, {65, 1s}}, {{SIGKILL, -1ms}}}) {
      stop_answer stopped;
      child.async_stop(wrong, stopped.handler());
      context.restart();
      context.run();
      CHECK(stopped.calls == 1);
      CHECK(stopped.ec == std::errc::invalid_argument);
      CHECK(stopped.result.signals.empty());
      error_code ec;
      child.stop(wrong, ec);
      CHECK(ec == std::errc::invalid_argument);
    }
    try {
      child.stop({{SIGKILL, 1s}, {65, 1s}});
      FAIL("no exception");
    } catch (const system_error& error) {
      CHECK(error.code() == std::errc::invalid_argument);
      CHECK(std::string(error.what()).find("step 2: 65 is no signal") != std::string::npos);
    }
    CHECK(child.poll() == std::nullopt);
    const spawn_error refused = spawn_error_of([&] {
      process(context, command(helper("forever")).stop_steps({{SIGTERM, -1s}}));
    });
    CHECK(refused.code() == std::errc::invalid_argument);
    CHECK(refused.path() == "stop_steps");
    child.kill();
    child.wait();
  }

  TEST_CASE("stop: without arguments it takes the steps of the command [A48]") {
    const leak_check leaks;
    asio::io_context context;
    for (const bool blocking : {false, true}) {
      process child(context, command(helper("forever")).stop_steps({{SIGUSR1, 1h}}));
      process usual(context, command(helper("forever")));
      if (blocking) {
        CHECK(child.stop().signals == std::vector<int>{SIGUSR1});
        CHECK(usual.stop().status == exit_status::from_signal(SIGTERM));
        continue;
      }
      stop_answer stopped;
      stop_answer by_default;
      child.async_stop(stopped.handler());
      usual.async_stop(by_default.handler());
      context.run();
      CHECK(stopped.result.status == exit_status::from_signal(SIGUSR1));
      CHECK(by_default.result.status == exit_status::from_signal(SIGTERM));
      CHECK(by_default.result.signals == std::vector<int>{SIGTERM});
    }
  }

  TEST_CASE("stop: a halted child or group does not cost the grace [A47]") {
    const leak_check leaks;
    const watchdog guard; // the grace is an hour
    asio::io_context context;
    const std::string halt = "raise:" + std::to_string(SIGSTOP);
    for (const bool group : {false, true}) {
      CAPTURE(group);
      command cmd = steps({halt, "read:1"}).in(piped);
      process child(context, group ? cmd.process_group(0) : cmd);
      siginfo_t info{};
      REQUIRE(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WSTOPPED | WNOWAIT) == 0);
      stop_answer stopped;
      child.async_stop({{SIGTERM, 1h}, {SIGKILL, 1h}}, stopped.handler());
      context.restart();
      context.run();
      CHECK_FALSE(stopped.ec);
      CHECK_FALSE(stopped.result.forced);
      CHECK(stopped.result.signals == std::vector<int>{SIGTERM});
      CHECK(stopped.result.status == exit_status::from_signal(SIGTERM));
    }
    // And one that is dropped with a polite signal does not stay for ever: leak_check.
    process dropped(context, steps({halt, "read:1"}).in(piped).drop(drop_policy::terminate));
    siginfo_t info{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(dropped.pid()), &info, WSTOPPED | WNOWAIT) == 0);
  }

  TEST_CASE("stop: a step that halts is not undone by us") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, command(helper("forever")));
    stop_answer stopped;
    child.async_stop({{SIGSTOP, 0s}}, stopped.handler());
    context.run();
    CHECK(stopped.ec == errc::not_stopped);
    siginfo_t info{};
    CHECK(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WSTOPPED | WNOWAIT) == 0);
    CHECK(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WCONTINUED | WNOHANG) == 0);
    CHECK(info.si_pid == 0);
    child.stop(0s);
  }

  TEST_CASE("stop: blocking, it does the same and runs no loop [C49]") {
    const leak_check leaks;
    asio::io_context context;
    int loop = 0;
    asio::post(context, [&] { ++loop; });
    process leader(context, family({"obeys", "ignores"}).process_group(0));
    member_of(leader);
    int waited = 0;
    leader.async_wait([&](error_code ec, exit_status status) {
      ++waited;
      CHECK_FALSE(ec);
      CHECK(status == exit_status::from_signal(SIGTERM));
    });
    const stop_result result = leader.stop(10ms);
    CHECK(result.forced);
    CHECK(result.survivors.empty());
    CHECK(result.status == exit_status::from_signal(SIGTERM));
    CHECK(nobody_writes(leader));
    CHECK(loop == 0);
    CHECK(waited == 0);
    context.run(); // the waiter is told what the stop has seen
    CHECK(waited == 1);
    const stop_result again = leader.stop(1h);
    CHECK(again.status == result.status);
    CHECK_FALSE(again.forced);
  }

  TEST_CASE("stop: a second one while one is pending is refused, of either form") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, shell_that_answers_term());
    CHECK(read_line(child) == "ready\n");
    stop_answer first;
    child.async_stop(1h, first.handler());
    error_code ec;
    child.stop(1h, ec);
    CHECK(ec == errc::operation_pending);
    CHECK_THROWS_AS(child.stop(), system_error);
    CHECK(read_line(child) == "term\n");

    process other(context, shell_that_answers_term());
    CHECK(read_line(other) == "ready\n");
    std::thread blocked([&] { other.stop(1h); });
    CHECK(read_line(other) == "term\n"); // it is under way
    stop_answer second;
    other.async_stop(0s, second.handler());
    other.stop(0s, ec);
    CHECK(ec == errc::operation_pending);
    for (process* each : {&child, &other}) {
      CHECK(each->in().write_some(asio::buffer("end\n", 4)) == 4);
    }
    context.run();
    blocked.join();
    CHECK(second.ec == errc::operation_pending);
    CHECK(first.calls == 1);
    CHECK(first.result.status == exit_status::from_code(3));

    process moved = std::move(child);
    child.stop(1h, ec);
    CHECK(ec == errc::no_child);
  }

  TEST_CASE("stop: without any grace SIGKILL follows at once") {
    const leak_check leaks;
    asio::io_context context;
    for (const duration grace : {duration(0s), duration(-1h)}) {
      process child(context, shell_that_answers_term());
      CHECK(read_line(child) == "ready\n");
      stop_answer stopped;
      child.async_stop(grace, stopped.handler());
      context.restart();
      context.run();
      CHECK(stopped.result.forced);
      CHECK(stopped.result.status == exit_status::from_signal(SIGKILL));
    }
  }

  TEST_CASE("stop: cancelled, it sends no further signal, and another may begin") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, shell_that_answers_term().process_group(0));
    CHECK(read_line(child) == "ready\n");
    for (const asio::cancellation_type type :
         {asio::cancellation_type::terminal, asio::cancellation_type::partial,
          asio::cancellation_type::total, asio::cancellation_type::all}) {
      asio::cancellation_signal signal;
      stop_answer cancelled;
      stop_answer second;
      child.async_stop(1h, asio::bind_cancellation_slot(signal.slot(), cancelled.handler()));
      child.async_stop(1h, second.handler());
      context.restart();
      context.poll();
      CHECK(read_line(child) == "term\n");
      CHECK(second.calls == 1);
      CHECK(second.ec == errc::operation_pending);
      signal.emit(asio::cancellation_type::none);
      context.poll();
      CHECK(cancelled.calls == 0);
      signal.emit(type);
      CHECK(cancelled.calls == 0); // not from inside emit
      context.restart();
      context.run(); // returns: no timer of the stop is left
      CHECK(cancelled.calls == 1);
      CHECK(cancelled.ec == asio::error::operation_aborted);
      CHECK_FALSE(cancelled.result.forced);
      signal.emit(type); // late: nothing
    }
    CHECK(child.poll() == std::nullopt);
    stop_answer last;
    child.async_stop(0s, last.handler());
    context.restart();
    context.run();
    CHECK(last.result.forced);
  }

  TEST_CASE("stop: many groups are stopped at once on one loop") {
    const leak_check leaks;
    asio::io_context context;
    std::vector<process> children;
    for (int i = 0; i < times(30); ++i) {
      children.emplace_back(context,
                            family({"obeys", i % 2 ? "ignores" : "obeys"}).process_group(0));
    }
    int good = 0;
    for (process& each : children) {
      member_of(each);
      each.async_stop(20ms, [&good, &each](error_code ec, const stop_result& result) {
        good += !ec && result.survivors.empty() && nobody_writes(each) ? 1 : 0;
      });
    }
    context.run();
    CHECK(good == times(30));
  }

} // TEST_SUITE
