#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "own_process.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/read_until.hpp>
#include <asio/steady_timer.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <string>
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

struct stop_answer {
  int calls = 0;
  error_code ec;
  stop_result result;

  auto handler() {
    return [this](error_code e, stop_result r) {
      ++calls;
      ec = e;
      result = std::move(r);
    };
  }
};

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
    const unique_handle pidfd(::dup(child->native_handle()));
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
    if (!readable(pidfd.get(), 10s)) {
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

  TEST_CASE("stop: of a child that has ended, it gives the status and does nothing") {
    const leak_check leaks;
    asio::io_context context;
    for (const bool seen : {false, true}) {
      for (const bool group : {false, true}) {
        command cmd = steps({"exit:4"});
        process child(context, group ? cmd.process_group(0) : cmd);
        REQUIRE(readable(child.native_handle()));
        if (seen) {
          CHECK(child.poll() == 4);
        }
        for (int i = 0; i < 2; ++i) {
          stop_answer stopped;
          child.async_stop(1h, stopped.handler());
          CHECK(stopped.calls == 0);
          context.restart();
          context.run();
          CHECK(stopped.calls == 1);
          CHECK_FALSE(stopped.ec);
          CHECK_FALSE(stopped.result.forced);
          CHECK(stopped.result.status == exit_status::from_code(4));
        }
      }
    }
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
