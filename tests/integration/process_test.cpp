#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "ended.hpp"
#include "own_process.hpp"
#include "platform.hpp"
#include "stalled_start.hpp"

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/read.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>
#include <asio/write.hpp>
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace subproc;
using namespace subproc::test;
using namespace std::chrono_literals;

namespace {

error_code thrown_by(const std::function<void()>& call) {
  try {
    call();
  } catch (const system_error& error) {
    return error.code();
  }
  return {};
}

error_code error_of(std::exception_ptr error) {
  return thrown_by([&] {
    if (error) {
      std::rethrow_exception(error);
    }
  });
}

/// Holds each start until it is let go; counts the starts.
class gated_launcher final : public launcher {
public:
  launched_child start(const command& cmd) override {
    entered.set_value();
    gate.get_future().wait();
    return default_launcher()->start(cmd);
  }

  std::promise<void> entered;
  std::promise<void> gate;
};

void run_again(asio::io_context& context) {
  context.restart();
  context.run();
}

} // namespace

TEST_SUITE("process") {

  TEST_CASE("process: pid, command and handle are there from the start and after the exit") {
    const leak_check leaks;
    asio::io_context context;
    const command cmd = steps({"read:1", "exit:3"}).in(piped);
    process child(context, cmd);
    CHECK(child.pid() > 0);
    CHECK(is_running(child.pid()));
    CHECK(child.get_command() == cmd);
    CHECK(child.args().size() == 3);
    CHECK(child.launched_by() != launcher_kind::none);
    CHECK(child.launched_by() != launcher_kind::custom);
    const int pid = child.pid();
    child.in().close();
    CHECK(child.wait().exit_code() == 3);
    CHECK(child.pid() == pid);
    CHECK(child.args() == cmd.args());
    CHECK((child.native_handle() != detail::invalid_handle) ==
          platform_has(feature::native_handle));
  }

  TEST_CASE("process: times are known once the exit was seen") {
    const leak_check leaks;
    asio::io_context context;
    const auto before = std::chrono::system_clock::now();
    process child(context, steps({"read:1"}).in(piped));
    CHECK(child.start_time() >= before);
    CHECK(child.start_time() <= std::chrono::system_clock::now());
    CHECK(child.end_time() == std::chrono::system_clock::time_point());
    CHECK(child.usage() == resource_usage());
    const auto closing = std::chrono::system_clock::now();
    child.in().close();
    child.wait();
    CHECK(child.end_time() >= closing);
    CHECK(child.end_time() <= std::chrono::system_clock::now());
  }

  TEST_CASE("process: what is pending goes on when the object is moved") {
    const leak_check leaks;
    asio::io_context context;
    process first(context, steps({"read:3", "say:hello"}).in(piped).out(piped));
    exit_status status;
    std::array<char, 6> text{};
    std::size_t got = 0;
    first.async_wait([&](error_code, exit_status s) { status = s; });
    first.out().async_read_some(asio::buffer(text), [&](error_code, std::size_t n) { got = n; });
    const int pid = first.pid();

    process second(std::move(first));
    CHECK(second.pid() == pid);
    process third(context, steps({"exit:1"}));
    third = std::move(second);
    context.poll();
    CHECK(got == 0);
    asio::write(third.in(), asio::buffer("abc", 3));
    context.run();
    CHECK(std::string(text.data(), got) == "hello\n");
    CHECK(status.success());
    CHECK(third.status() == status);
  }

  TEST_CASE("process: a communicate goes on when the object is moved") {
    const leak_check leaks;
    asio::io_context context;
    auto first = std::make_unique<process>(context, steps({"echo"}).in(piped).out(piped));
    const std::string input = pattern(300'000);
    communicate_result result;
    first->async_communicate(input, 1h,
                             [&](error_code, communicate_result r) { result = std::move(r); });
    context.poll_one();
    process second(std::move(*first));
    first.reset();
    context.run();
    CHECK(result.out == input);
  }

  TEST_CASE("process: assigning to a process drops the child it had") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1"}).in(piped));
    const int first = child.pid();
    error_code ec;
    child.async_wait([&](error_code e, exit_status) { ec = e; });
    child = process(context, steps({"exit:5"}));
    CHECK(eventually([&] { return !is_running(first); }));
    context.run();
    CHECK(ec == asio::error::operation_aborted);
    CHECK(child.wait().exit_code() == 5);

    process& same = child;
    child = std::move(same);
    CHECK(child.returncode() == 5);
  }

  TEST_CASE("process: a moved-from object has no child, and says so") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1"}).in(piped).out(piped));
    std::optional<process> other;
    SUBCASE("by construction") { other.emplace(std::move(child)); }
    SUBCASE("by assignment") {
      other.emplace(context, steps({"exit:0"}));
      *other = std::move(child);
    }
    SUBCASE("by detach") { child.detach(); }

    int calls = 0;
    const auto no_child = [&](error_code ec) {
      ++calls;
      CHECK(ec == errc::no_child);
    };
    child.async_wait([&](error_code ec, exit_status) { no_child(ec); });
    child.async_wait(1h, [&](error_code ec, exit_status) { no_child(ec); });
    child.async_communicate([&](error_code ec, communicate_result) { no_child(ec); });
    child.async_stop(1h, [&](error_code ec, stop_result) { no_child(ec); });
    std::array<char, 4> buffer;
    child.out().async_read_some(asio::buffer(buffer), [&](error_code ec, std::size_t) {
      ++calls;
      CHECK(ec == asio::error::bad_descriptor);
    });
    child.in().async_write_some(asio::buffer("x", 1), [&](error_code ec, std::size_t) {
      ++calls;
      CHECK(ec == asio::error::bad_descriptor);
    });
    CHECK(calls == 0);
    context.run();
    CHECK(calls == 6);
    CHECK(child.get_executor() == context.get_executor());
    CHECK(child.out().get_executor() == context.get_executor());
    CHECK(thrown_by([&] { child.wait(); }) == errc::no_child);
    CHECK(thrown_by([&] { child.communicate(); }) == errc::no_child);
    CHECK(thrown_by([&] { child.kill(); }) == errc::no_child);
    CHECK(thrown_by([&] { child.terminate(); }) == errc::no_child);
    CHECK(thrown_by([&] { child.send_signal(0); }) == errc::no_child);
    CHECK(thrown_by([&] { child.release(); }) == errc::no_child);
    CHECK_NOTHROW(child.detach());
    CHECK(child.poll() == std::nullopt);
    CHECK(child.pid() == -1);
    CHECK(child.native_handle() == detail::invalid_handle);
    CHECK_FALSE(child.out().is_open());
    CHECK(child.args().empty());
    CHECK(child.captured().out.empty());

    child = process(context, steps({"exit:6"}));
    CHECK(child.wait().exit_code() == 6);
  }

  TEST_CASE("process: a child that was reaped cannot be released, and stays known") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"exit:4"}));
    const int pid = child.pid();
    SUBCASE("reaped before") { child.wait(); }
    SUBCASE("seen by the release") { REQUIRE(has_ended(child)); }
    CHECK(thrown_by([&] { child.release(); }) == errc::no_child);
    CHECK(child.pid() == pid);
    CHECK(child.returncode() == 4);
  }

  TEST_CASE("process: a release that comes too late does not leave operations hanging") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"exit:4"}));
    exit_status waited;
    communicate_result result;
    child.async_wait([&](error_code, exit_status s) { waited = s; });
    child.async_communicate([&](error_code, communicate_result r) { result = std::move(r); });
    REQUIRE(has_ended(child));
    CHECK(thrown_by([&] { child.release(); }) == errc::no_child);
    context.run();
    CHECK(waited.exit_code() == 4);
    CHECK(result.status.exit_code() == 4);
  }

  TEST_CASE("process: conversions between executors keep child and streams") {
    const leak_check leaks;
    asio::io_context context;
    using concrete = basic_process<asio::io_context::executor_type>;
    static_assert(
        std::is_same_v<process::rebind_executor<asio::io_context::executor_type>::other, concrete>);
    static_assert(std::is_convertible_v<concrete, process>);
    static_assert(!std::is_convertible_v<process, concrete>);
    concrete child(context, steps({"echo"}).in(piped).out(piped));
    exit_status status;
    child.async_wait([&](error_code, exit_status s) { status = s; });
    const int pid = child.pid();

    process general = std::move(child);
    CHECK(general.pid() == pid);
    CHECK(general.get_executor() == context.get_executor());
    CHECK(general.out().get_executor() == context.get_executor());
    CHECK(child.pid() == -1);
    CHECK(general.communicate("text").out == "text");
    context.run();
    CHECK(status.success());
  }

  TEST_CASE("process: it lives on any executor") {
    const leak_check leaks;
    asio::thread_pool pool(2);
    {
      basic_process<asio::thread_pool::executor_type> child(pool, steps({"exit:1"}));
      CHECK(child.async_wait(asio::use_future).get().exit_code() == 1);
    }
    auto strand = asio::make_strand(pool);
    {
      basic_process<decltype(strand)> child(strand, steps({"echo"}).in(piped).out(piped));
      CHECK(child.async_communicate("via strand", asio::use_future).get().out == "via strand");
      process general = std::move(child);
      CHECK(general.returncode() == 0);
    }
    pool.join();
  }

  // g++ 12 cannot have an initializer list inside a coroutine.
  command step(const char* what) { return steps({what}); }

  asio::awaitable<void> default_tokens(asio::any_io_executor ex, bool& done) {
    using with_default = asio::use_awaitable_t<>::executor_with_default<asio::any_io_executor>;
    using subject = basic_process<with_default>;
    static_assert(std::is_same_v<process::rebind_executor<with_default>::other, subject>);

    subject child(with_default(ex), step("echo").in(piped).out(piped));
    co_await asio::async_write(child.in(), asio::buffer("one\n", 4));
    std::array<char, 4> text{};
    co_await asio::async_read(child.out(), asio::buffer(text));
    CHECK(std::string(text.data(), 4) == "one\n");
    CHECK((co_await child.async_communicate("two", 1h)).out == "two");
    CHECK((co_await child.async_wait()).success());
    CHECK((co_await child.async_wait(1h)).success());

    auto converted = asio::use_awaitable.as_default_on(process(ex, step("echo").in(piped)));
    CHECK((co_await converted.async_stop(1h)).status == terminated());

    process spawned = co_await async_spawn(with_default(ex), step("exit:7"));
    CHECK(spawned.wait().exit_code() == 7);
    const completed_process ran = co_await async_run(with_default(ex), step("exit:8"));
    CHECK(ran.status.exit_code() == 8);
    done = true;
  }

  TEST_CASE("process: a token may be the executor's default") {
    const leak_check leaks;
    asio::io_context context;
    bool done = false;
    asio::co_spawn(context, default_tokens(context.get_executor(), done),
                   [](std::exception_ptr error) {
                     if (error) {
                       std::rethrow_exception(error);
                     }
                   });
    context.run();
    CHECK(done);
  }

  TEST_CASE("process: the loop turns while async_spawn's start stalls [T7]") {
    const leak_check leaks;
    const auto gated = std::make_shared<gated_launcher>();
    const exit_status status = start_while_the_loop_turns(steps({"exit:3"}).launcher(gated),
                                                          [&] { gated->gate.set_value(); });
    CHECK(status == exit_status::from_code(3));
  }

  TEST_CASE("process: async_spawn gives the error that the constructor throws") {
    const leak_check leaks;
    asio::io_context context;
    int calls = 0;
    const auto expect = [&](command cmd, spawn_step step) {
      async_spawn(context, std::move(cmd), [&calls, step](std::exception_ptr error, process child) {
        ++calls;
        CHECK(child.pid() == -1);
        const spawn_error got = spawn_error_of([&] { std::rethrow_exception(error); });
        CHECK(got.step() == step);
      });
    };
    expect(command("/no/such/program"), spawn_step::exec);
    expect(steps({}).cwd("/no/such/folder"), spawn_step::chdir);
    expect(command(), spawn_step::arguments);
    expect(steps({}).in(numbered_fd(32752)), spawn_step::arguments);
    CHECK(calls == 0);
    context.run();
    CHECK(calls == 4);
  }

  TEST_CASE("process: a cancelled async_spawn leaves no child [K128]") {
    const leak_check leaks;
    asio::io_context context;
    error_code ec;
    asio::cancellation_signal signal;
    auto handler =
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr error, process child) {
          ec = error_of(error);
          CHECK(child.pid() == -1);
        });

    SUBCASE("at once") {
      auto gated = std::make_shared<gated_launcher>();
      async_spawn(context, steps({"byte:0"}).in(piped).launcher(gated), std::move(handler));
      signal.emit(asio::cancellation_type::total);
      context.run();
      gated->gate.set_value();
    }
    SUBCASE("while it starts") {
      auto gated = std::make_shared<gated_launcher>();
      async_spawn(context, steps({"byte:0"}).in(piped).launcher(gated), std::move(handler));
      gated->entered.get_future().wait();
      signal.emit(asio::cancellation_type::terminal);
      context.run(); // completes although the start has not ended
      gated->gate.set_value();
    }
    SUBCASE("while it starts, and the context is gone before the start has ended") {
      auto other = std::make_unique<asio::io_context>();
      auto gated = std::make_shared<gated_launcher>();
      async_spawn(asio::make_strand(*other), steps({"byte:0"}).in(piped).launcher(gated),
                  std::move(handler));
      gated->entered.get_future().wait();
      signal.emit(asio::cancellation_type::terminal);
      other->run();
      other.reset();
      gated->gate.set_value();
    }
    CHECK(ec == asio::error::operation_aborted);
  }

  TEST_CASE("process: a context that goes away while a child starts leaves no child") {
    const leak_check leaks;
    auto context = std::make_unique<asio::io_context>();
    auto gated = std::make_shared<gated_launcher>();
    bool called = false;
    bool destroyed = false;
    const std::shared_ptr<void> token(nullptr, [&destroyed](void*) { destroyed = true; });
    async_spawn(*context, steps({"byte:0"}).in(piped).launcher(gated),
                [&called, token](std::exception_ptr, process) { called = true; });
    gated->entered.get_future().wait();
    const_cast<std::shared_ptr<void>&>(token).reset();
    context.reset();
    CHECK(destroyed);
    CHECK_FALSE(called);
    gated->gate.set_value();
  }

  TEST_CASE("process: starts that end as their context does are safe") {
    const leak_check leaks;
    for (int i = 0; i < starts(300); ++i) {
      asio::io_context context;
      asio::cancellation_signal signal;
      int calls = 0;
      async_spawn(context, command("/no/such/program"),
                  [&](std::exception_ptr, process) { ++calls; });
      async_spawn(context, steps({"exit:0"}),
                  asio::bind_cancellation_slot(signal.slot(),
                                               [&](std::exception_ptr, process) { ++calls; }));
      async_spawn(context, steps({"exit:0"}), [&](std::exception_ptr, process) { ++calls; });
      signal.emit(asio::cancellation_type::total);
      context.run();
      REQUIRE(calls == 3);
    }
  }

  TEST_CASE("process: a loop may go as soon as a start or a run on it was answered") {
    const leak_check leaks;
    for (int i = 0; i < 2000; ++i) {
      asio::io_context context;
      int calls = 0;
      async_spawn(context, command("/no/such/program"),
                  [&](std::exception_ptr, const process&) { ++calls; });
      async_spawn(asio::make_strand(context), command("/no/such/program"),
                  [&](std::exception_ptr, const process&) { ++calls; });
      async_run(asio::make_strand(context), command("/no/such/program"),
                [&](std::exception_ptr, const completed_process&) { ++calls; });
      while (calls < 3) {
        context.poll(); // without a sleep, from which to wake takes longer than what is tested
        context.restart();
      }
    }
  }

  TEST_CASE("process: a program may end while starts that were cancelled are still queued") {
    if (own_part().empty()) {
      for (int i = 0; i < 10; ++i) {
        run_part("1");
      }
      return;
    }
    asio::io_context context;
    for (int i = 0; i < 500; ++i) {
      async_spawn(context, command("/no/such/program"), [](std::exception_ptr, const process&) {});
    }
  }

  TEST_CASE("process: a started command is the caller's own again, to be changed and used") {
    const leak_check leaks;
    asio::io_context context;
    command cmd = steps({"exit:1"});
    process one(context, cmd);
    cmd.arg("exit:2");
    process two(context, cmd);
    CHECK(one.args().size() == 2);
    CHECK(one.wait() == exit_status::from_code(1));
    CHECK(two.wait() == exit_status::from_code(1));
  }

  TEST_CASE("process: poll gives nothing while the child runs, then its code [K52]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1", "exit:0"}).in(piped));
    CHECK(child.poll() == std::nullopt);
    CHECK(child.returncode() == std::nullopt);
    child.in().close();
    REQUIRE(has_ended(child));
    CHECK(child.poll() == 0);
    CHECK(child.poll() == 0);
    CHECK(child.returncode() == 0);
  }

  TEST_CASE("process: it prints itself, cut to 80 characters [K137]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, command("a program", "exit:3").executable(helper("steps")));
    CHECK(to_string(child) == "<process: returncode: none args: 'a program' exit:3>");
    child.wait();
    CHECK(to_string(child) == "<process: returncode: 3 args: 'a program' exit:3>");
    std::ostringstream printed;
    printed << child;
    CHECK(printed.str() == to_string(child));
    process moved(std::move(child));
    CHECK(to_string(child) == "<process: no child>");

    // "<process: returncode: none args: true " has 38.
    const auto text = [&](std::string argument) {
      return to_string(process(
          context, command("true", std::move(argument)).executable(helper("steps")).err(null)));
    };
    CHECK(text(std::string(41, 'x')).size() == 80);
    CHECK(text(std::string(41, 'x')).ends_with("xx>"));
    CHECK(text(std::string(42, 'x')) ==
          "<process: returncode: none args: true " + std::string(38, 'x') + "...>");
    const std::string cut = text(std::string(35, 'x') + "\xf0\x9f\x98\x80" + std::string(9, 'y'));
    CHECK(cut.size() <= 80);
    CHECK(cut.ends_with("...>"));
    CHECK(cut.find('\xf0') == std::string::npos); // no part of a character
  }

  TEST_CASE("process: at the end of its scope pipes are closed and the child is reaped [K118]") {
    const leak_check leaks;
    asio::io_context context;
    std::array<native_handle_type, 3> ends{};
    exit_status status;
    {
      process child(context, steps({"read:1", "exit:3"}).in(piped).out(piped).err(piped));
      ends = {child.in().native_handle(), child.out().native_handle(), child.err().native_handle()};
      child.in().close();
      status = child.wait();
    }
    CHECK(status == exit_status::from_code(3));
    for (const native_handle_type each : ends) {
      CHECK_FALSE(is_open(each));
    }
    CHECK_FALSE(has_children());
  }

  TEST_CASE("process: nothing is left unsent for the end of the scope to fail with [K119]") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    error_code ec;
    {
      process child(context, steps({"exit:0"}).in(piped));
      CHECK(child.wait().success());
      child.in().write_some(asio::buffer("x", 1), ec);
      CHECK_THROWS_AS(child.in().write_some(asio::buffer("x", 1)), system_error);
    }
    CHECK(ec == asio::error::broken_pipe);
  }

  TEST_CASE("process: a loop writes, closes, reads and waits, or communicates all at once [K120]") {
    const leak_check leaks;
    asio::io_context context;
    const command cmd = steps({"echo"}).in(piped).out(piped);
    {
      process child(context, cmd);
      std::string text;
      error_code end;
      exit_status status;
      asio::async_write(child.in(), asio::buffer("data", 4), [&](error_code ec, std::size_t n) {
        CHECK_FALSE(ec);
        CHECK(n == 4);
        child.in().close();
        asio::async_read(child.out(), asio::dynamic_buffer(text), [&](error_code e, std::size_t) {
          end = e;
          child.async_wait([&](error_code, exit_status s) { status = s; });
        });
      });
      run_again(context);
      CHECK(text == "data");
      CHECK(end == asio::error::eof);
      CHECK(status == exit_status::from_code(0));
    }
    for (const std::string input : {"data", ""}) {
      process child(context, cmd);
      communicate_result result;
      child.async_communicate(input, [&](error_code ec, communicate_result r) {
        CHECK_FALSE(ec);
        result = std::move(r);
      });
      run_again(context);
      CHECK(result.out == input);
      CHECK(result.out_captured);
      CHECK(result.status == exit_status::from_code(0));
    }
  }

  TEST_CASE("process: much for a child that stops reading breaks a write, no communicate [K123]") {
    const leak_check leaks;
    asio::io_context context;
    const std::string much(4 << 20, 'x');
    process writing(context, steps({"read:1000", "exit:3"}).in(piped));
    error_code written;
    std::size_t bytes = 0;
    asio::async_write(writing.in(), asio::buffer(much), [&](error_code ec, std::size_t n) {
      written = ec;
      bytes = n;
    });
    process communicating(context, steps({"read:1000", "exit:3"}).in(piped));
    error_code communicated = asio::error::in_progress;
    communicating.async_communicate(
        much, [&](error_code ec, const communicate_result&) { communicated = ec; });
    context.run();
    CHECK(written == asio::error::broken_pipe);
    CHECK(bytes < much.size());
    CHECK_FALSE(communicated);
    CHECK(writing.wait() == exit_status::from_code(3));
    CHECK(communicating.status() == exit_status::from_code(3));
  }

  TEST_CASE("process: ten children at once give each its own output [K134]") {
    const leak_check leaks;
    asio::io_context context;
    std::vector<process> children;
    std::array<communicate_result, 10> results;
    for (std::size_t i = 0; i < results.size(); ++i) {
      const std::string number = std::to_string(i);
      children.emplace_back(
          context, steps({"echo", "say:" + number, "exit:" + number}).in(piped).out(piped));
    }
    for (std::size_t i = 0; i < results.size(); ++i) {
      children[i].async_communicate(
          pattern(100'000 + i),
          [&result = results[i]](error_code, communicate_result r) { result = std::move(r); });
    }
    context.run();
    for (std::size_t i = 0; i < results.size(); ++i) {
      CHECK((results[i].out == pattern(100'000 + i) + std::to_string(i) + '\n'));
      CHECK(results[i].status == exit_status::from_code(static_cast<int>(i)));
    }
  }

  TEST_CASE("process: any thread may have the loop [K136]") {
    const leak_check leaks;
    const watchdog guard;
    exit_status status;
    communicate_result result;
    std::thread([&] {
      asio::io_context context;
      process child(context, steps({"exit:4"}));
      process other(context, steps({"say:text"}).out(piped));
      child.async_wait([&](error_code, exit_status s) { status = s; });
      other.async_communicate([&](error_code, communicate_result r) { result = std::move(r); });
      context.run();
    }).join();
    CHECK(status == exit_status::from_code(4));
    CHECK(result.out == "text\n");
    CHECK(result.status.success());
  }

} // TEST_SUITE
