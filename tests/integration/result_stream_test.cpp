#include <subproc/result_stream.hpp>

#include "children.hpp"

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>
#include <doctest/doctest.h>

#include <chrono>
#include <exception>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

void rethrow(std::exception_ptr error) {
  if (error) {
    std::rethrow_exception(std::move(error));
  }
}

/// `commands`, each of which is counted when it is taken.
auto commands_of(int& taken, int last, const command& each) {
  return std::views::iota(0, last) | std::views::transform([&taken, each](int) {
           ++taken;
           return each;
         });
}

} // namespace

TEST_SUITE("result_stream") {

  TEST_CASE("result_stream: a coroutine takes the results one by one") {
    const leak_check leaks;
    asio::io_context context;
    std::vector<command> list;
    for (int code = 0; code < 6; ++code) {
      list.push_back(steps({"exit:" + std::to_string(code)}));
    }
    std::vector<long long> codes;
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
          result_stream results(context, list, {.concurrency = 2, .keep_order = true});
          while (auto result = co_await results.async_next(asio::use_awaitable)) {
            codes.push_back(result->process.returncode().value());
          }
          CHECK_FALSE(co_await results.async_next(asio::use_awaitable));
        },
        rethrow);
    context.run();
    CHECK(codes == std::vector<long long>{0, 1, 2, 3, 4, 5});
  }

  TEST_CASE("result_stream: nothing starts before the first call, nor beyond what is taken") {
    const leak_check leaks;
    asio::io_context context;
    int taken = 0;
    result_stream results(context, commands_of(taken, 1000, steps({"exit:0"})), {.concurrency = 3});
    context.run();
    context.restart();
    CHECK(taken == 0);
    for (int got = 0; got < 20;) {
      const int before = got;
      results.async_next([&](std::exception_ptr error, const std::optional<pool_result>& result) {
        CHECK_FALSE(error);
        got += result ? 1 : 0;
      });
      while (got == before) {
        context.run_one();
      }
      CHECK(taken <= got + 2 + 3); // two held, which is room for one more, and three that run
    }
    CHECK(taken < 1000);
  }

  TEST_CASE("result_stream: a call that is cancelled loses no result") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    int taken = 0;
    result_stream results(context, commands_of(taken, 20, steps({"exit:0"})), {.concurrency = 2});
    int got = 0;
    int cancelled = 0;
    bool over = false;
    for (bool cut = false; !over; cut = !cut) {
      asio::cancellation_signal cancel;
      bool ended = false;
      results.async_next(asio::bind_cancellation_slot(
          cancel.slot(), [&](std::exception_ptr error, const std::optional<pool_result>& result) {
            cancelled += error ? 1 : 0;
            got += result ? 1 : 0;
            over = !error && !result;
            ended = true;
          }));
      if (cut) {
        cancel.emit(asio::cancellation_type::total);
      }
      while (!ended) {
        context.restart(); // it may have run out of work
        context.run_one();
      }
    }
    CHECK(got == 20);
    CHECK(cancelled > 0);
  }

  TEST_CASE("result_stream: one call at a time") {
    const watchdog guard;
    asio::io_context context;
    std::optional<result_stream> results(std::in_place, context, std::vector{steps({"stay"})});
    std::vector<error_code> ends;
    const auto next = [&] {
      results->async_next([&](std::exception_ptr error, const std::optional<pool_result>&) {
        try {
          std::rethrow_exception(error);
        } catch (const system_error& e) {
          ends.push_back(e.code());
        }
      });
    };
    next();
    next();
    context.run_one();
    while (ends.empty()) {
      context.run_one();
    }
    results.reset(); // which ends the first, and the child
    context.run();
    CHECK(ends == std::vector<error_code>{make_error_code(errc::operation_pending),
                                          asio::error::operation_aborted});
  }

  TEST_CASE("result_stream: an exception of the range comes after the results before it") {
    const leak_check leaks;
    asio::io_context context;
    auto commands = std::views::iota(0) | std::views::transform([](int i) {
                      if (i == 2) {
                        throw std::runtime_error("no third");
                      }
                      return steps({"exit:0"});
                    });
    int got = 0;
    bool thrown = false;
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
          result_stream results(context, commands, {.concurrency = 1});
          try {
            while (co_await results.async_next(asio::use_awaitable)) {
              ++got;
            }
          } catch (const std::runtime_error&) {
            thrown = true;
          }
        },
        rethrow);
    context.run();
    CHECK(thrown);
    CHECK(got == 2);
  }

} // TEST_SUITE
