#include <subproc/process.hpp>
#include <subproc/wait.hpp>

#include "children.hpp"
#include "ended.hpp"
#include "platform.hpp"
#include "wait_answers.hpp"

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/read.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>
#include <asio/write.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <functional>
#include <list>
#include <optional>
#include <span>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

TEST_SUITE("wait") {

  TEST_CASE("wait: any number of waits at once get the same status [K132] [T30]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1", "exit:7"}).in(piped));
    std::array<answer, 10> answers;
    for (answer& each : answers) {
      child.async_wait(each.handler());
    }
    answer timed;
    child.async_wait(1h, timed.handler());

    context.poll();
    CHECK(answers[0].calls == 0);
    child.in().close();
    context.run();

    for (const answer& each : answers) {
      CHECK(each.calls == 1);
      CHECK(each.ec == error_code());
      CHECK(each.status == exit_status::from_code(7));
    }
    CHECK(timed.calls == 1);
    CHECK(timed.status == exit_status::from_code(7));
  }

  TEST_CASE(
      "wait: after the exit it completes at once, and never inside the function that starts it") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"exit:3"}));
    REQUIRE(has_ended(child));

    for (int i = 0; i < 2; ++i) {
      answer one;
      child.async_wait(one.handler());
      CHECK(one.calls == 0);
      context.restart();
      context.run();
      CHECK(one.calls == 1);
      CHECK(one.status == exit_status::from_code(3));
    }
  }

  TEST_CASE("wait: a child that was quicker than the watch is seen [T32]") {
    const leak_check leaks;
    asio::io_context context;
    // Children that have certainly ended before the first wait, all looked at together.
    std::vector<process> children;
    for (int i = 0; i < 50; ++i) {
      children.emplace_back(context, steps({"exit:" + std::to_string(i)}));
    }
    for (process& each : children) {
      REQUIRE(has_ended(each));
    }
    std::vector<answer> answers(children.size());
    for (std::size_t i = 0; i < children.size(); ++i) {
      children[i].async_wait(answers[i].handler());
    }
    context.run();
    for (std::size_t i = 0; i < children.size(); ++i) {
      CHECK(answers[i].status == exit_status::from_code(static_cast<int>(i)));
    }
  }

  asio::awaitable<void> spawn_many(int count, int& good) {
    const auto ex = co_await asio::this_coro::executor;
    for (int i = 0; i < count; ++i) {
      process child(ex, steps({}));
      const exit_status status = co_await child.async_wait(asio::use_awaitable);
      good += status.success() ? 1 : 0;
    }
  }

  TEST_CASE("wait: thousands of children that end at once are all seen [T32]") {
    const leak_check leaks;
    asio::io_context context;
    constexpr int lanes = 8;
    constexpr int each = starts(250);
    int good = 0;
    for (int i = 0; i < lanes; ++i) {
      asio::co_spawn(context, spawn_many(each, good), asio::detached);
    }
    context.run();
    CHECK(good == lanes * each);
  }

  TEST_CASE("wait: every order of the calls gives the same status [T30]") {
    const leak_check leaks;
    asio::io_context context;
    const exit_status terminated = test::terminated();
    process child(context, steps({"read:1"}).in(piped));
    answer pending;

    SUBCASE("terminated, then waited for twice") {
      child.terminate();
      CHECK(child.wait() == terminated);
      CHECK(child.wait() == terminated);
      CHECK(child.wait(0s) == terminated);
    }
    SUBCASE("terminated while a wait is pending") {
      child.async_wait(pending.handler());
      context.poll();
      child.terminate();
      context.run();
      CHECK(pending.status == terminated);
      child.terminate();
      CHECK(child.wait() == terminated);
    }
    SUBCASE("polled, then waited for") {
      CHECK(child.poll() == std::nullopt);
      child.terminate();
      CHECK(eventually([&] { return child.poll().has_value(); }));
      child.async_wait(pending.handler());
      context.run();
      CHECK(pending.status == terminated);
    }
    SUBCASE("a poll that sees the exit ends the pending waits") {
      child.async_wait(pending.handler());
      child.terminate();
      REQUIRE(has_ended(child));
      CHECK(child.poll() == terminated.returncode());
      CHECK(pending.calls == 0);
      context.run();
      CHECK(pending.calls == 1);
      CHECK(pending.status == terminated);
    }
    SUBCASE("a signal that finds the child ended does the same") {
      child.async_wait(pending.handler());
      child.terminate();
      REQUIRE(has_ended(child));
      CHECK_NOTHROW(child.kill());
      CHECK(child.returncode() == terminated.returncode());
      context.run();
      CHECK(pending.status == terminated);
    }
    SUBCASE("killed at once, before any wait") {
      child.kill();
      child.async_wait(pending.handler());
      context.run();
      CHECK(pending.status == killed());
      CHECK(child.poll() == killed().returncode());
      CHECK_NOTHROW(child.send_signal(0));
    }
    CHECK(child.status().has_value());
  }

  TEST_CASE("wait: no status is shown before something has looked for it") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"exit:4"}));
    REQUIRE(has_ended(child));

    CHECK(child.returncode() == std::nullopt);
    CHECK(child.status() == std::nullopt);
    CHECK(child.poll() == 4);
    CHECK(child.returncode() == 4);
  }

  TEST_CASE("wait: end-of-file on the pipes is not the exit [T33]") {
    const leak_check leaks;
    asio::io_context context;
    process child(
        context, steps({"close:1", "close:2", "read:1", "exit:6"}).in(piped).out(piped).err(piped));
    answer pending;
    child.async_wait(pending.handler());
    std::array<char, 8> buffer;
    error_code out_end;
    error_code err_end;
    child.out().async_read_some(asio::buffer(buffer),
                                [&](error_code ec, std::size_t) { out_end = ec; });
    child.err().async_read_some(asio::buffer(buffer),
                                [&](error_code ec, std::size_t) { err_end = ec; });
    while (!out_end || !err_end) {
      context.run_one();
    }

    CHECK(out_end == asio::error::eof);
    CHECK(err_end == asio::error::eof);
    CHECK(pending.calls == 0);
    CHECK(child.poll() == std::nullopt);
    child.in().close();
    context.run();
    CHECK(pending.status == exit_status::from_code(6));
  }

  TEST_CASE("wait: the exit is not the end of the file [T33]") {
    if (excused_without(feature::posix_shell, "its grandchild is a shell's")) {
      return;
    }
    const leak_check leaks;
    asio::io_context context;
    // The shell ends; its child keeps the output open until the gate is closed.
    test_pipe gate;
    process child(context, with_descriptors(shell("{ read x; echo late; } <&9 & exit 2"),
                                            {{9, gate.read_end.get()}})
                               .out(piped));
    std::string text(16, '\0');
    error_code read_ec;
    std::size_t got = 0;
    bool read_done = false;
    asio::async_read(child.out(), asio::buffer(text), [&](error_code ec, std::size_t n) {
      read_ec = ec;
      got = n;
      read_done = true;
    });
    answer pending;
    child.async_wait(pending.handler());
    while (pending.calls == 0) {
      context.run_one();
    }

    CHECK(pending.status == exit_status::from_code(2));
    CHECK_FALSE(read_done);
    gate.write_end.reset();
    context.run();
    CHECK(read_ec == asio::error::eof);
    CHECK(text.substr(0, got) == "late\n");
  }

  TEST_CASE("wait: a time-out leaves the child alone") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1", "exit:8"}).in(piped));
    answer timed;
    answer other;
    child.async_wait(other.handler());
    child.async_wait(1ms, timed.handler());
    while (timed.calls == 0) {
      context.run_one();
    }

    CHECK(timed.ec == asio::error::timed_out);
    CHECK(timed.ec == asio::error::timed_out);
    CHECK(timed.status.unknown());
    CHECK(other.calls == 0);
    CHECK(child.poll() == std::nullopt);
    child.in().close();
    context.run();
    CHECK(other.status == exit_status::from_code(8));
  }

  TEST_CASE("wait: a time-out that has passed is one look [K53]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1", "exit:8"}).in(piped));
    for (const duration limit :
         {duration(0s), duration(-5s), duration(std::chrono::seconds::min())}) {
      answer timed;
      child.async_wait(limit, timed.handler());
      context.restart();
      context.run();
      CHECK(timed.ec == asio::error::timed_out);
      CHECK_THROWS_AS(child.wait(limit), timeout_expired);
    }
    child.in().close();
    REQUIRE(has_ended(child));
    answer last;
    child.async_wait(0s, last.handler());
    context.restart();
    context.run();
    CHECK(last.ec == error_code());
    CHECK(last.status == exit_status::from_code(8));
    CHECK(child.wait(-1s) == exit_status::from_code(8));
    CHECK(child.wait(0s) == exit_status::from_code(8));
    CHECK(child.wait() == exit_status::from_code(8));
    CHECK(child.wait() == exit_status::from_code(8));
  }

  TEST_CASE("wait: the longest time-outs do not overflow") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1", "exit:1"}).in(piped));
    answer timed;
    child.async_wait(std::chrono::hours::max(), timed.handler());
    context.poll();
    CHECK(timed.calls == 0);
    child.in().close();
    context.run();
    CHECK(timed.status == exit_status::from_code(1));
    CHECK(child.wait(std::chrono::hours::max()) == exit_status::from_code(1));
  }

  TEST_CASE("wait: a child that ended in time is a success, however late the loop is [T40]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"exit:9"}));
    answer timed;
    child.async_wait(20ms, timed.handler());
    const auto deadline = std::chrono::steady_clock::now() + 20ms;

    REQUIRE(has_ended(child));
    std::this_thread::sleep_until(deadline + 5ms); // the loop does other things meanwhile
    context.run();
    CHECK(timed.calls == 1);
    CHECK(timed.ec == error_code());
    CHECK(timed.status == exit_status::from_code(9));
  }

  TEST_CASE("wait: the blocking time-out throws with the command and the caller's value [K54]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1"}).in(piped));
    try {
      child.wait(0.1ms);
      FAIL("no time-out");
    } catch (const timeout_expired& error) {
      CHECK(error.timeout() == 0.0001);
      CHECK(std::string(error.what()) ==
            "Command '" + to_string(child.get_command()) + "' timed out after 0.0001 seconds.");
      CHECK(error.result().timed_out);
      CHECK(error.result().pid == child.pid());
      CHECK(error.result().status_unknown());
    }
    child.in().close();
    CHECK(child.wait() == exit_status::from_code(0));
  }

  TEST_CASE("wait: cancelling one wait touches neither the child nor the other waits") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1", "exit:2"}).in(piped));
    for (const asio::cancellation_type type :
         {asio::cancellation_type::terminal, asio::cancellation_type::partial,
          asio::cancellation_type::total, asio::cancellation_type::all}) {
      asio::cancellation_signal signal;
      asio::cancellation_signal timed_signal;
      answer cancelled;
      answer timed;
      child.async_wait(asio::bind_cancellation_slot(signal.slot(), cancelled.handler()));
      child.async_wait(1h, asio::bind_cancellation_slot(timed_signal.slot(), timed.handler()));
      context.restart();
      context.poll();
      CHECK(cancelled.calls + timed.calls == 0);
      signal.emit(type);
      CHECK(cancelled.calls == 0); // not from inside emit
      context.poll();
      CHECK(cancelled.calls == 1);
      CHECK(cancelled.ec == asio::error::operation_aborted);
      CHECK(timed.calls == 0);
      timed_signal.emit(type);
      context.poll();
      CHECK(timed.calls == 1);
      CHECK(timed.ec == asio::error::operation_aborted);
      signal.emit(type); // late: nothing
      context.poll();
      CHECK(cancelled.calls == 1);
    }
    CHECK(child.poll() == std::nullopt);
    answer kept;
    asio::cancellation_signal unused;
    child.async_wait(asio::bind_cancellation_slot(unused.slot(), kept.handler()));
    unused.emit(asio::cancellation_type::none);
    context.restart();
    context.poll();
    CHECK(kept.calls == 0);
    child.in().close();
    context.run();
    CHECK(kept.status == exit_status::from_code(2));
  }

  TEST_CASE("wait: a cancelled wait, a signal, and a wait again give the signal [K127]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1"}).in(piped));
    asio::cancellation_signal signal;
    answer first;
    child.async_wait(asio::bind_cancellation_slot(signal.slot(), first.handler()));
    signal.emit(asio::cancellation_type::terminal);
    child.kill();
    answer second;
    child.async_wait(second.handler());
    context.run();
    CHECK(first.ec == asio::error::operation_aborted);
    CHECK(second.status == killed());
  }

  TEST_CASE("wait: the loop has work only while somebody waits") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1"}).in(piped).out(piped));
    CHECK(context.run() == 0); // returns: a live child alone is no work

    asio::cancellation_signal signal;
    answer cancelled;
    child.async_wait(asio::bind_cancellation_slot(signal.slot(), cancelled.handler()));
    signal.emit(asio::cancellation_type::total);
    context.restart();
    context.run();
    CHECK(cancelled.calls == 1);
    context.restart();
    CHECK(context.run() == 0);
    child.in().close();
    CHECK(child.wait().success());
  }

  TEST_CASE("wait: a blocking wait is refused while an asynchronous one is pending") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1"}).in(piped));
    answer pending;
    child.async_wait(pending.handler());
    try {
      child.wait();
      FAIL("a wait inside a wait");
    } catch (const system_error& error) {
      CHECK(error.code() == errc::operation_pending);
    }
    CHECK_THROWS_AS(child.wait(1h), system_error);
    child.in().close();
    context.run();
    CHECK(pending.status.success());
    CHECK(child.wait().success());
  }

  TEST_CASE("wait: blocking waits in several threads all get the status [T30]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1", "exit:11"}).in(piped));
    std::array<exit_status, 4> seen;
    std::vector<std::thread> threads;
    for (exit_status& each : seen) {
      threads.emplace_back([&child, &each] { each = child.wait(); });
    }
    child.in().close();
    for (std::thread& each : threads) {
      each.join();
    }
    for (const exit_status& each : seen) {
      CHECK(each == exit_status::from_code(11));
    }
  }

  TEST_CASE("wait: a wait in one thread, a kill and a wait in another both give the signal [K58]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, unending_child());
    exit_status seen;
    std::thread other([&] { seen = child.wait(); });
    child.kill();
    CHECK(child.wait() == killed());
    other.join();
    CHECK(seen == killed());
  }

  TEST_CASE("wait: a blocking wait works inside a handler of the loop") {
    const leak_check leaks;
    asio::io_context context;
    exit_status status;
    asio::post(context, [&] { status = process(context, steps({"exit:12"})).wait(); });
    context.run();
    CHECK(status == exit_status::from_code(12));
  }

  TEST_CASE("wait: waits, a communicate and a stop of one child all end at its exit [T30]") {
    const leak_check leaks;
    asio::io_context context;
    const test_pipe stdin_pipe;
    process child(context, steps({"read:1"}).in(fd(stdin_pipe.read_end.get())).out(piped));
    answer first;
    answer second;
    error_code communicated = asio::error::in_progress;
    communicate_result result;
    error_code stopped = asio::error::in_progress;
    stop_result stop;
    child.async_wait(first.handler());
    child.async_communicate([&](error_code ec, communicate_result r) {
      communicated = ec;
      result = std::move(r);
    });
    child.async_wait(1h, second.handler());
    child.async_stop(1h, [&](error_code ec, stop_result r) {
      stopped = ec;
      stop = std::move(r);
    });
    context.run();
    CHECK(first.calls == 1);
    CHECK(second.calls == 1);
    CHECK(communicated == error_code());
    CHECK(stopped == error_code());
    CHECK(first.status == second.status);
    CHECK(first.status == result.status);
    CHECK(first.status == stop.status);
  }

  TEST_CASE("wait: the handler may destroy the process and start another") {
    const leak_check leaks;
    asio::io_context context;
    std::optional<process> child(std::in_place, context, steps({"exit:1"}));
    int ends = 0;
    child->async_wait([&](error_code, exit_status) {
      ++ends;
      child.emplace(context, steps({"exit:2"}));
      child->async_wait([&](error_code, exit_status status) {
        ends += 10 * static_cast<int>(*status.exit_code());
        child.reset();
      });
    });
    context.run();
    CHECK(ends == 21);
  }

  TEST_CASE(
      "wait: of several children the first to end is told, the others are not touched [C60]") {
    const leak_check leaks;
    asio::io_context context;
    std::vector<process> children;
    for (int i = 0; i < 5; ++i) {
      children.emplace_back(context, steps({"read:1", "exit:" + std::to_string(i)}).in(piped));
    }
    std::vector<process*> pointers;
    std::list<std::reference_wrapper<process>> references;
    for (process& each : children) {
      pointers.push_back(&each);
      references.emplace_back(each);
    }
    any_answer by_value;
    any_answer by_pointer;
    any_answer by_reference;
    async_wait_any(children, by_value.handler());
    async_wait_any(std::span(pointers).subspan(1), by_pointer.handler());
    async_wait_any(context, references, by_reference.handler());
    context.poll();
    CHECK(by_value.calls == 0);
    std::vector<process> moved = std::move(children); // the range is not needed any more
    moved[3].in().close();
    context.run(); // it returns: nothing waits on the four
    for (const any_answer* each : {&by_value, &by_pointer, &by_reference}) {
      CHECK(each->calls == 1);
      CHECK_FALSE(each->ec);
      CHECK(each->index == (each == &by_pointer ? 2U : 3U));
      CHECK(each->status == exit_status::from_code(3));
    }
    for (const std::size_t i : {0U, 1U, 2U, 4U}) {
      CHECK(moved[i].poll() == std::nullopt);
    }
    // One that ended before counts at once, the first in the range before others.
    moved[1].in().close();
    REQUIRE(has_ended(moved[1]));
    any_answer at_once;
    async_wait_any(moved, at_once.handler());
    CHECK(at_once.calls == 0);
    context.restart();
    context.run();
    CHECK(at_once.index == 1);
    CHECK(wait_any(moved).index == 1);
    CHECK(wait_any(moved, 0s) == ended_child{1, exit_status::from_code(1)});
  }

  TEST_CASE("wait: of several children all are told, in the order of the range") {
    const leak_check leaks;
    asio::io_context context;
    std::vector<process> children;
    for (int i = 0; i < 6; ++i) {
      children.emplace_back(context, steps({"read:1", "exit:" + std::to_string(i)}).in(piped));
    }
    children[4].in().close();
    children[4].wait(); // known before
    all_answer all;
    async_wait_all(children, all.handler());
    for (const std::size_t i : {5U, 0U, 3U, 1U, 2U}) {
      context.poll();
      CHECK(all.calls == 0);
      children[i].in().close();
    }
    context.run();
    CHECK(all.calls == 1);
    CHECK_FALSE(all.ec);
    REQUIRE(all.statuses.size() == 6);
    for (std::size_t i = 0; i < 6; ++i) {
      CHECK(all.statuses[i] == exit_status::from_code(static_cast<int>(i)));
    }
    CHECK(wait_all(children) == all.statuses);
    CHECK(wait_all(children, 0s) == all.statuses);
  }

  TEST_CASE("wait: for no children and for those that are not there") {
    const leak_check leaks;
    asio::io_context context;
    std::vector<process> none;
    any_answer one;
    all_answer all;
    async_wait_any(context, none, one.handler());
    async_wait_all(context, none, all.handler());
    CHECK(all.calls == 0);
    context.run();
    CHECK(one.ec == std::errc::invalid_argument);
    CHECK(all.calls == 1);
    CHECK_FALSE(all.ec);
    CHECK_THROWS_AS(async_wait_any(none, one.handler()), system_error);
    CHECK_THROWS_AS(async_wait_all(none, all.handler()), system_error);
    CHECK_THROWS_AS(wait_any(none), system_error);
    CHECK(wait_all(none).empty());
    CHECK(wait_all(none, 0s)->empty());

    std::vector<process> children;
    children.emplace_back(context, steps({"read:1"}).in(piped));
    children.emplace_back(context, steps({"exit:0"}));
    process elsewhere = std::move(children[1]);
    async_wait_any(children, one.handler());
    async_wait_all(children, all.handler());
    context.restart();
    context.run();
    CHECK(one.ec == errc::no_child);
    CHECK(one.index == 1);
    CHECK(all.ec == errc::no_child);
    CHECK_THROWS_AS(wait_any(children), system_error);
    CHECK_THROWS_AS(wait_all(children, 0s), system_error);
    CHECK(children[0].poll() == std::nullopt);
  }

  TEST_CASE("wait: one of several that is destroyed meanwhile ends its part of the wait") {
    const leak_check leaks;
    asio::io_context context;
    std::vector<process> children;
    for (int i = 0; i < 3; ++i) {
      children.emplace_back(context, steps({"read:1", "exit:" + std::to_string(i)}).in(piped));
    }
    any_answer one;
    all_answer all;
    async_wait_any(children, one.handler());
    async_wait_all(children, all.handler());
    children.erase(children.begin() + 1);
    context.poll();
    CHECK(one.calls == 1);
    CHECK(one.ec == asio::error::operation_aborted);
    CHECK(one.index == 1);
    CHECK(all.calls == 0);
    children[0].in().close();
    children[1].in().close();
    context.run();
    CHECK(all.calls == 1);
    CHECK(all.ec == asio::error::operation_aborted);
    CHECK(all.statuses == std::vector<exit_status>{exit_status::from_code(0), exit_status(),
                                                   exit_status::from_code(2)});
    // And a loop that goes takes the waits with it.
    std::optional<asio::io_context> short_lived(std::in_place);
    std::vector<process> others;
    others.emplace_back(*short_lived, steps({"read:1"}).in(piped));
    async_wait_all(others, all.handler());
    async_wait_any(others, one.handler());
    short_lived.reset();
    CHECK(all.calls == 1);
    CHECK(one.calls == 1);
    others[0].in().close();
    CHECK(wait_any(others) == ended_child{0, exit_status::from_code(0)});
  }

  TEST_CASE("wait: cancelling a wait for several touches no child and leaves no wait") {
    const leak_check leaks;
    for (const asio::cancellation_type type :
         {asio::cancellation_type::terminal, asio::cancellation_type::partial,
          asio::cancellation_type::total}) {
      asio::io_context context;
      std::vector<process> children;
      for (int i = 0; i < 4; ++i) {
        children.emplace_back(context, steps({"read:1"}).in(piped));
      }
      any_answer one;
      all_answer all;
      asio::cancellation_signal of_one;
      asio::cancellation_signal of_all;
      async_wait_any(children, asio::bind_cancellation_slot(of_one.slot(), one.handler()));
      async_wait_all(children, asio::bind_cancellation_slot(of_all.slot(), all.handler()));
      context.poll();
      of_one.emit(type);
      of_all.emit(type);
      CHECK(one.calls + all.calls == 0); // not from inside emit
      context.run();                     // it returns: no wait is left
      CHECK(one.calls == 1);
      CHECK(one.ec == asio::error::operation_aborted);
      CHECK(all.calls == 1);
      CHECK(all.ec == asio::error::operation_aborted);
      of_one.emit(type); // late: nothing
      children[2].kill();
      context.restart();
      async_wait_any(children, one.handler());
      context.run();
      CHECK(one.index == 2);
      CHECK(wait_any(children, 0s) == ended_child{2, killed()});
    }
  }

  TEST_CASE("wait: the blocking waits for several are bounded, and run no loop") {
    const leak_check leaks;
    asio::io_context context;
    int loop = 0;
    asio::post(context, [&] { ++loop; });
    std::vector<process> children;
    for (int i = 0; i < 3; ++i) {
      children.emplace_back(context, steps({"read:1", "exit:" + std::to_string(i)}).in(piped));
    }
    CHECK(wait_any(children, 0s) == std::nullopt);
    CHECK(wait_any(children, -1s) == std::nullopt);
    CHECK(wait_all(children, 1ms) == std::nullopt);
    const auto begin = std::chrono::steady_clock::now();
    CHECK(wait_any(children, 30ms) == std::nullopt);
    CHECK(std::chrono::steady_clock::now() - begin >= 30ms);
    answer pending; // is no hindrance
    children[2].async_wait(pending.handler());
    std::thread closes([&] { children[2].in().close(); });
    CHECK(wait_any(children, std::chrono::hours::max()) ==
          ended_child{2, exit_status::from_code(2)});
    closes.join();
    CHECK(wait_all(children, 1ms) == std::nullopt);
    children[0].in().close();
    children[1].in().close();
    CHECK(wait_all(children, 1h)->size() == 3);
    CHECK(loop == 0);
    context.run();
    CHECK(pending.status == exit_status::from_code(2));
  }

} // TEST_SUITE
