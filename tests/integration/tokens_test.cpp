// Every kind of completion token and associator, with every asynchronous operation.

#include <subproc/process.hpp>
#include <subproc/run.hpp>
#include <subproc/wait.hpp>

#include "children.hpp"

#include <asio/awaitable.hpp>
#include <asio/bind_allocator.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/read_until.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

enum class op { wait, wait_any, wait_all, communicate, stop, spawn, run };
constexpr op all_ops[] = {op::wait, op::wait_any, op::wait_all, op::communicate,
                          op::stop, op::spawn,    op::run};

// Ends with its input.
command short_one() {
  return steps({"echo", "exit:3"}).in(piped).out(piped).drop(drop_policy::kill);
}
// Lives until it is killed.
command endless() { return steps({"say:ready", "stay"}).in(piped).out(piped); }
// A stop that only waits.
std::vector<stop_step> patience() { return {{0, 1h}}; }

process start_endless(asio::io_context& context) {
  process child(context, endless());
  std::string line;
  asio::read_until(child.out(), asio::dynamic_buffer(line), '\n');
  return child;
}

// Begins an operation with a token; the process outlives it.
template <class Token>
void begin(op which, process& child, const asio::any_io_executor& executor, const command& cmd,
           Token token) {
  switch (which) {
  case op::wait:
    return child.async_wait(std::move(token));
  case op::wait_any:
    return async_wait_any(executor, std::array{&child}, std::move(token));
  case op::wait_all:
    return async_wait_all(executor, std::array{&child}, std::move(token));
  case op::communicate:
    return child.async_communicate(std::move(token));
  case op::stop:
    return child.async_stop(patience(), std::move(token));
  case op::spawn:
    return async_spawn(executor, cmd, std::move(token));
  case op::run:
    return async_run(executor, cmd, std::move(token));
  }
}

// Ends only with its input, which these leave open.
bool waits(op which) {
  return which == op::wait || which == op::wait_any || which == op::wait_all || which == op::stop;
}

// Not async_spawn, whose launcher thread may be done before we look.
bool surely_pending(op which) { return which != op::spawn; }

bool needs_child(op which) { return which != op::spawn && which != op::run; }

// Counts what it gives and gets back.
struct memory_use {
  std::atomic<int> given = 0;
  std::atomic<int> held = 0;
};

template <class T>
struct counting_allocator {
  using value_type = T;

  explicit counting_allocator(memory_use& m) : counts(&m) {}
  template <class U>
  counting_allocator(const counting_allocator<U>& other) : counts(other.counts) {}

  T* allocate(std::size_t n) {
    ++counts->given;
    ++counts->held;
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* p, std::size_t n) {
    --counts->held;
    std::allocator<T>().deallocate(p, n);
  }

  template <class U>
  bool operator==(const counting_allocator<U>& other) const {
    return counts == other.counts;
  }

  memory_use* counts;
};

error_code code_of(const std::exception_ptr& error) {
  try {
    if (error) {
      std::rethrow_exception(error);
    }
  } catch (const system_error& e) {
    return e.code();
  } catch (const operation_error& e) {
    return e.code();
  } catch (...) {
    FAIL_CHECK("another exception");
  }
  return {};
}
error_code code_of(error_code ec) { return ec; }

void rethrow(std::exception_ptr error) {
  if (error) {
    std::rethrow_exception(error);
  }
}

// Commands are made outside the coroutines: g++ 12 takes no initializer_list in them.
asio::awaitable<void> await_all(command cmd, int& done) {
  const auto ex = co_await asio::this_coro::executor;
  process child = co_await async_spawn(ex, cmd, asio::use_awaitable);
  child.in().close();
  const communicate_result got = co_await child.async_communicate(asio::use_awaitable);
  CHECK(got.status.exit_code() == 3);
  const exit_status status = co_await child.async_wait(asio::use_awaitable);
  CHECK(status == got.status);
  const auto [first, first_status] =
      co_await async_wait_any(std::array{&child}, asio::use_awaitable);
  CHECK(first == 0);
  CHECK(first_status == status);
  const auto all = co_await async_wait_all(std::array{&child}, asio::use_awaitable);
  CHECK(all == std::vector{status});
  const stop_result stopped = co_await child.async_stop(1h, asio::use_awaitable);
  CHECK(stopped.status == status);
  const completed_process ran = co_await async_run(ex, cmd, asio::use_awaitable);
  CHECK(ran.status == status);
  ++done;

  const command missing("/no/such");
  bool thrown = false;
  try {
    co_await async_run(ex, missing, asio::use_awaitable);
  } catch (const spawn_error&) {
    thrown = true;
  }
  CHECK(thrown);
  thrown = false;
  try {
    co_await child.async_communicate(asio::use_awaitable);
  } catch (const system_error& error) {
    thrown = error.code() == errc::already_taken;
  }
  CHECK(thrown);
  ++done;
}

asio::awaitable<void> await_tuples(command cmd, int& done) {
  const auto ex = co_await asio::this_coro::executor;
  constexpr auto token = as_tuple(asio::use_awaitable);
  auto [spawn_failed, child] = co_await async_spawn(ex, cmd, token);
  CHECK_FALSE(spawn_failed);
  child.in().close();
  const auto [communicate_ec, got] = co_await child.async_communicate(token);
  CHECK_FALSE(communicate_ec);
  const auto [wait_ec, status] = co_await child.async_wait(token);
  CHECK_FALSE(wait_ec);
  CHECK(status == got.status);
  const auto [any_ec, first, first_status] = co_await async_wait_any(std::array{&child}, token);
  CHECK_FALSE(any_ec);
  CHECK(first == 0);
  const auto [all_ec, statuses] = co_await async_wait_all(std::array{&child}, token);
  CHECK_FALSE(all_ec);
  CHECK(statuses == std::vector{first_status});
  const auto [stop_ec, stopped] = co_await child.async_stop(1h, token);
  CHECK_FALSE(stop_ec);
  CHECK(stopped.status == status);
  const auto [run_failed, ran] = co_await async_run(ex, cmd, token);
  CHECK_FALSE(run_failed);
  CHECK(ran.status == status);
  const command missing("/no/such");
  const auto [missing_error, nothing] = co_await async_run(ex, missing, token);
  CHECK(static_cast<bool>(missing_error));
  const auto [again_ec, empty] = co_await child.async_communicate(token);
  CHECK(again_ec == errc::already_taken);
  ++done;
}

asio::awaitable<void> race_timers(command cmd, int& done) {
  using namespace asio::experimental::awaitable_operators;
  const auto ex = co_await asio::this_coro::executor;
  process child = co_await async_spawn(ex, cmd, asio::use_awaitable);
  asio::steady_timer timer(ex);
  std::string line;
  co_await asio::async_read_until(child.out(), asio::dynamic_buffer(line), '\n',
                                  asio::use_awaitable);

  // The timer wins; the loser is cancelled and the child left alone.
  timer.expires_after(1ms);
  const auto waited =
      co_await (child.async_wait(asio::use_awaitable) || timer.async_wait(asio::use_awaitable));
  CHECK(waited.index() == 1);
  timer.expires_after(1ms);
  const auto any = co_await (async_wait_any(std::array{&child}, asio::use_awaitable) ||
                             timer.async_wait(asio::use_awaitable));
  CHECK(any.index() == 1);
  timer.expires_after(1ms);
  const auto all = co_await (async_wait_all(std::array{&child}, asio::use_awaitable) ||
                             timer.async_wait(asio::use_awaitable));
  CHECK(all.index() == 1);
  timer.expires_after(1ms);
  const auto talked = co_await (child.async_communicate(asio::use_awaitable) ||
                                timer.async_wait(asio::use_awaitable));
  CHECK(talked.index() == 1);
  timer.expires_after(1ms);
  const auto stopped = co_await (child.async_stop(patience(), asio::use_awaitable) ||
                                 timer.async_wait(asio::use_awaitable));
  CHECK(stopped.index() == 1);
  CHECK(child.poll() == std::nullopt);

  // async_run leaves no child.
  timer.expires_after(1ms);
  const auto ran =
      co_await (async_run(ex, cmd, asio::use_awaitable) || timer.async_wait(asio::use_awaitable));
  CHECK(ran.index() == 1);

  // The operation wins.
  timer.expires_after(1h);
  const auto spawned =
      co_await (async_spawn(ex, cmd, asio::use_awaitable) || timer.async_wait(asio::use_awaitable));
  CHECK(spawned.index() == 0);
  const auto ended =
      co_await (child.async_stop(0s, asio::use_awaitable) || timer.async_wait(asio::use_awaitable));
  CHECK(ended.index() == 0);
  const auto exited =
      co_await (child.async_wait(asio::use_awaitable) || timer.async_wait(asio::use_awaitable));
  CHECK(exited.index() == 0);
  const auto rest = co_await (child.async_communicate(asio::use_awaitable) ||
                              timer.async_wait(asio::use_awaitable));
  CHECK(rest.index() == 0);

  // All of several.
  process other = co_await async_spawn(ex, cmd, asio::use_awaitable);
  other.kill();
  const auto [status, result] = co_await (other.async_wait(asio::use_awaitable) &&
                                          other.async_communicate(asio::use_awaitable));
  CHECK(status == killed());
  CHECK(result.status == status);
  ++done;
}

} // namespace

TEST_SUITE("tokens") {

  TEST_CASE("tokens: use_future gives every result, and throws every error") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    auto keep = asio::make_work_guard(context);
    std::thread thread([&context] { context.run(); });
    process child = async_spawn(context, short_one(), asio::use_future).get();
    child.in().close();
    CHECK(child.async_communicate(asio::use_future).get().status.exit_code() == 3);
    CHECK(child.async_wait(asio::use_future).get().exit_code() == 3);
    CHECK(child.async_wait(1h, asio::use_future).get().exit_code() == 3);
    const auto [first, status] = async_wait_any(std::array{&child}, asio::use_future).get();
    CHECK(first == 0);
    CHECK(status.exit_code() == 3);
    CHECK(async_wait_all(std::array{&child}, asio::use_future).get() == std::vector{status});
    CHECK(child.async_stop(1h, asio::use_future).get().status.exit_code() == 3);
    CHECK(async_run(context, short_one(), asio::use_future).get().status.exit_code() == 3);

    CHECK_THROWS_AS(child.async_communicate(asio::use_future).get(), system_error);
    CHECK_THROWS_AS(async_spawn(context, {"/no/such"}, asio::use_future).get(), spawn_error);
    CHECK_THROWS_AS(async_run(context, {"/no/such"}, asio::use_future).get(), spawn_error);
    CHECK_THROWS_AS(async_run(context, short_one().check(), asio::use_future).get(),
                    called_process_error);
    process moved = std::move(child);
    CHECK_THROWS_AS(child.async_wait(asio::use_future).get(), system_error);
    CHECK_THROWS_AS(child.async_stop(1h, asio::use_future).get(), system_error);
    keep.reset();
    thread.join();
  }

  TEST_CASE("tokens: use_awaitable returns every result, and throws every error") {
    const leak_check leaks;
    asio::io_context context;
    int done = 0;
    asio::co_spawn(context, await_all(short_one(), done), rethrow);
    context.run();
    CHECK(done == 2);
  }

  TEST_CASE("tokens: as_tuple gives error and result together") {
    const leak_check leaks;
    asio::io_context context;
    int done = 0;
    asio::co_spawn(context, await_tuples(short_one(), done), rethrow);
    context.run();
    CHECK(done == 1);
  }

  TEST_CASE("tokens: a deferred operation begins when it is called, not before") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, short_one());
    int calls = 0;
    auto wait = child.async_wait(deferred);
    auto communicate = child.async_communicate(deferred);
    auto stop = child.async_stop(1h, deferred);
    auto spawn = async_spawn(context, short_one(), deferred);
    auto run = async_run(context, short_one(), deferred);
    CHECK(context.run() == 0); // nothing has begun
    CHECK(child.poll() == std::nullopt);

    std::move(wait)([&](error_code ec, exit_status) { calls += ec ? 0 : 1; });
    std::move(communicate)([&](error_code ec, communicate_result) { calls += ec ? 0 : 1; });
    std::move(spawn)([&](std::exception_ptr error, process) { calls += error ? 0 : 1; });
    std::move(run)([&](std::exception_ptr error, completed_process) { calls += error ? 0 : 1; });
    context.restart();
    context.run();
    CHECK(calls == 4);
    std::move(stop)([&](error_code ec, stop_result) { calls += ec ? 0 : 1; });
    context.restart();
    context.run();
    CHECK(calls == 5);
  }

  TEST_CASE("tokens: detached operations run to their end, and nothing is left") {
    const leak_check leaks;
    for (const op which : all_ops) {
      CAPTURE(static_cast<int>(which));
      asio::io_context context;
      process child(context, short_one());
      begin(which, child, context.get_executor(), short_one(), asio::detached);
      if (waits(which)) {
        child.in().close();
      }
      CHECK(context.run() > 0);
      if (needs_child(which)) {
        CHECK(child.status().has_value());
      }
    }
  }

  TEST_CASE("tokens: memory comes from the handler's allocator and goes back before the call") {
    const leak_check leaks;
    for (const op which : all_ops) {
      CAPTURE(static_cast<int>(which));
      asio::io_context context;
      process child(context, short_one());
      memory_use counts;
      int calls = 0;
      begin(which, child, context.get_executor(), short_one(),
            asio::bind_allocator(counting_allocator<int>(counts), [&](auto&&...) {
              ++calls;
              CHECK(counts.held == 0);
            }));
      CHECK(counts.given > 0);
      if (surely_pending(which)) {
        CHECK(counts.held > 0);
      }
      if (waits(which)) {
        child.in().close();
      }
      context.run();
      CHECK(calls == 1);
      CHECK(counts.held == 0);
    }
  }

  TEST_CASE("tokens: memory of an allocator goes back when the loop goes") {
    const leak_check leaks;
    for (const op which : all_ops) {
      CAPTURE(static_cast<int>(which));
      memory_use counts;
      {
        std::optional<asio::io_context> context(std::in_place);
        process child = start_endless(*context);
        begin(which, child, context->get_executor(), endless(),
              asio::bind_allocator(counting_allocator<int>(counts),
                                   [](auto&&...) { FAIL_CHECK("called"); }));
        if (surely_pending(which)) {
          CHECK(counts.held > 0);
        }
        if (needs_child(which)) {
          context->poll();
        }
        context.reset();
        if (needs_child(which)) {
          CHECK(counts.held == 0);
        }
      }
      CHECK(eventually([&] { return counts.held == 0; })); // a launcher thread may be at work
    }
  }

  TEST_CASE("tokens: the handler runs on its own executor, whose loop waits for it") {
    const leak_check leaks;
    for (const op which : all_ops) {
      CAPTURE(static_cast<int>(which));
      asio::io_context of_process;
      asio::io_context of_handler;
      process child(of_process, short_one());
      int calls = 0;
      begin(which, child, of_process.get_executor(), short_one(),
            asio::bind_executor(of_handler, [&](auto&&...) {
              ++calls;
              CHECK(of_handler.get_executor().running_in_this_thread());
              CHECK_FALSE(of_process.get_executor().running_in_this_thread());
            }));
      if (surely_pending(which)) {
        of_handler.poll();
        CHECK_FALSE(of_handler.stopped()); // it has work
        CHECK(calls == 0);
      }
      if (waits(which)) {
        child.in().close();
      }
      std::thread thread([&] { of_process.run(); });
      of_handler.run();
      thread.join();
      CHECK(calls == 1);
    }
  }

  TEST_CASE("tokens: handlers of one strand never run at once") {
    const leak_check leaks;
    asio::thread_pool threads(4);
    {
      const auto strand = asio::make_strand(threads);
      std::vector<process> children;
      std::atomic<int> calls = 0;
      int inside = 0; // not atomic: the strand is what keeps it right
      bool alone = true;
      const auto handler = [&, strand](auto&&...) {
        alone = alone && ++inside == 1 && strand.running_in_this_thread();
        std::this_thread::yield();
        --inside;
        ++calls;
      };
      constexpr int rounds = times(20);
      for (int i = 0; i < rounds; ++i) {
        children.emplace_back(threads, short_one());
      }
      for (process& child : children) {
        for (const op which :
             {op::wait, op::wait_any, op::wait_all, op::communicate, op::spawn, op::run}) {
          begin(which, child, threads.get_executor(), short_one(),
                asio::bind_executor(strand, handler));
        }
      }
      CHECK(eventually([&] { return calls == 6 * rounds; }));
      for (process& child : children) {
        child.async_stop(1h, asio::bind_executor(strand, handler));
      }
      CHECK(eventually([&] { return calls == 7 * rounds; }));
      threads.join();
      CHECK(alone);
    }
  }

  TEST_CASE("tokens: a process on a strand completes in it") {
    const leak_check leaks;
    asio::thread_pool threads(3);
    {
      const auto strand = asio::make_strand(threads);
      basic_process<asio::strand<asio::thread_pool::executor_type>> child(strand, short_one());
      std::atomic<int> calls = 0;
      const auto handler = [&](auto&&...) { calls += strand.running_in_this_thread() ? 1 : 100; };
      child.async_wait(handler);
      child.async_communicate(handler);
      async_spawn(strand, short_one(), handler);
      async_run(strand, short_one(), handler);
      CHECK(eventually([&] { return calls >= 4; }));
      child.async_stop(1h, handler);
      CHECK(eventually([&] { return calls >= 5; }));
      threads.join();
      CHECK(calls == 5);
    }
  }

  TEST_CASE("tokens: the cancellation slot of the handler ends each operation, once") {
    const leak_check leaks;
    for (const op which : all_ops) {
      for (const asio::cancellation_type type :
           {asio::cancellation_type::terminal, asio::cancellation_type::partial,
            asio::cancellation_type::total}) {
        CAPTURE(static_cast<int>(which));
        asio::io_context context;
        process child = start_endless(context);
        asio::cancellation_signal signal;
        int calls = 0;
        error_code code;
        begin(which, child, context.get_executor(), endless(),
              asio::bind_cancellation_slot(signal.slot(), [&](auto error, auto&&...) {
                ++calls;
                code = code_of(error);
              }));
        CHECK(signal.slot().has_handler());
        signal.emit(type);
        CHECK(calls == 0); // not from inside emit
        context.run();
        CHECK(calls == 1);
        // A start that was quicker than the signal hands its child over, and the handler drops it.
        CHECK((code == asio::error::operation_aborted || (which == op::spawn && !code)));
        if (which != op::stop) {
          CHECK(child.poll() == std::nullopt); // the child of the others is another one
        }
        child.kill();
        child.wait();
        CHECK(eventually([] { return !has_children(); })); // and that one is gone
      }
    }
  }

  TEST_CASE("tokens: awaitable operators race every operation with a timer") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    int done = 0;
    asio::co_spawn(context, race_timers(endless(), done), rethrow);
    context.run();
    CHECK(done == 1);
  }

} // TEST_SUITE
