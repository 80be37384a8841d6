// wait, of children that are stopped or that signals end, and of more than a program has at first.

#include <subproc/process.hpp>
#include <subproc/wait.hpp>

#include "children.hpp"
#include "own_process.hpp"
#include "wait_answers.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <span>
#include <string>
#include <vector>

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

// Blocks until the child is stopped, and takes no status.
void wait_for_stop(int pid) {
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED | WNOWAIT) == 0);
  REQUIRE(info.si_code == CLD_STOPPED);
}

} // namespace

TEST_SUITE("wait") {

  TEST_CASE("wait: a stopped child is still running [T31] [K105]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"raise:" + std::to_string(SIGSTOP), "exit:5"}));
    answer pending;
    child.async_wait(pending.handler());
    wait_for_stop(child.pid());

    context.poll();
    CHECK(pending.calls == 0);
    CHECK(child.poll() == std::nullopt);
    answer timed;
    child.async_wait(1ms, timed.handler());
    while (timed.calls == 0) {
      context.run_one();
    }
    CHECK(timed.ec == asio::error::timed_out);
    CHECK(pending.calls == 0);

    child.send_signal(SIGCONT);
    context.run();
    CHECK(pending.status == exit_status::from_code(5));
  }

  TEST_CASE("wait: the blocking wait does not end at a stop either [T31]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"raise:" + std::to_string(SIGSTOP), "exit:5"}));
    wait_for_stop(child.pid());

    CHECK_THROWS_AS(child.wait(1ms), timeout_expired);
    child.send_signal(SIGCONT);
    CHECK(child.wait() == exit_status::from_code(5));
  }

  TEST_CASE("wait: exit code, signal and core dump are told apart [T29]") {
    const leak_check leaks;
    asio::io_context context;
    CHECK(process(context, steps({"exit:255"})).wait().returncode() == 255);
    CHECK(process(context, steps({"exit:127"})).wait().exit_code() == 127);
    CHECK(process(context, steps({"exit:9"})).wait() != exit_status::from_signal(9));
    const exit_status killed = process(context, steps({"raise:9"})).wait();
    CHECK(killed.signal() == 9);
    CHECK(killed.returncode() == -9);
    const exit_status real_time =
        process(context, steps({"raise:" + std::to_string(SIGRTMIN + 1)})).wait();
    CHECK(real_time.signal() == SIGRTMIN + 1);
  }

  TEST_CASE("wait: a wait for many costs what its children do, not their square") {
    if (!in_own_process()) {
      return;
    }
    const watchdog guard(150s);
    rlimit room{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &room) == 0);
    const std::size_t most = static_cast<std::size_t>(times(300));
    room.rlim_cur = room.rlim_max;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &room) == 0);
    asio::io_context context;
    std::vector<process> children;
    for (std::size_t i = 0; i < most; ++i) {
      children.emplace_back(context, command(helper("forever")));
    }
    const auto cost = [](auto&& body) {
      const std::clock_t begin = std::clock();
      body();
      return static_cast<double>(std::clock() - begin);
    };
    // Per call, over so many calls for few children as one for all has.
    const auto any_of = [&](std::span<process> some, std::size_t rounds) {
      return cost([&] {
        for (std::size_t i = 0; i < rounds; ++i) {
          asio::cancellation_signal signal;
          any_answer one;
          async_wait_any(some, asio::bind_cancellation_slot(signal.slot(), one.handler()));
          context.restart();
          context.poll();
          signal.emit(asio::cancellation_type::terminal);
          context.run();
          REQUIRE(one.ec == asio::error::operation_aborted);
          REQUIRE(wait_any(some, 0s) == std::nullopt);
        }
      });
    };
    const std::span<process> few = std::span(children).first(most / 10);
    const double for_few = any_of(few, 10);
    const double for_all = any_of(children, 1);
    MESSAGE("a wait_any and a look, ", most, " children, us: ", for_all, ", ", most / 10,
            " ten times: ", for_few);
    CHECK(for_all < 4 * for_few);

    all_answer all;
    for (process& each : children) {
      each.kill();
    }
    const double to_end = cost([&] {
      async_wait_all(children, all.handler());
      context.restart();
      context.run();
    });
    MESSAGE("wait_all, us a child: ", to_end / static_cast<double>(most));
    CHECK(all.calls == 1);
    CHECK(std::ranges::count(all.statuses, exit_status::from_signal(SIGKILL)) ==
          static_cast<std::ptrdiff_t>(most));
  }

} // TEST_SUITE
