#include <subproc/async_source.hpp>
#include <subproc/for_each.hpp>

#include "children.hpp"

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <doctest/doctest.h>

#include <chrono>
#include <exception>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  }
}

} // namespace

TEST_SUITE("for_each") {

  TEST_CASE("for_each: the commands of a list are run, in order when that is wanted") {
    const leak_check leaks;
    asio::io_context context;
    std::vector<command> list;
    for (int code = 0; code < 10; ++code) {
      list.push_back(steps({"exit:" + std::to_string(code)}));
    }
    std::vector<long long> codes;
    async_for_each(
        context, list, {.concurrency = 4, .keep_order = true},
        [&](const pool_result& result) { codes.push_back(result.process.returncode().value()); },
        [](std::exception_ptr error, const pool_summary& all) {
          CHECK_FALSE(error);
          CHECK(all.started == 10);
          CHECK(all.succeeded == 1);
        });
    context.run();
    CHECK(codes == std::vector<long long>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  }

  TEST_CASE("for_each: an endless range is walked as there is room") {
    const leak_check leaks;
    asio::io_context context;
    int made = 0;
    auto commands = std::views::iota(0) | std::views::transform([&](int) {
                      ++made;
                      return steps({"exit:0"});
                    });
    int results = 0;
    async_for_each(
        context, commands,
        {.concurrency = 2,
         .halt = {.what = halt_policy::action::soon, .on = halt_policy::outcome::done, .count = 9}},
        [&](const pool_result&) { ++results; },
        [](std::exception_ptr error, const pool_summary& all) {
          CHECK_FALSE(error);
          CHECK(all.halted);
        });
    context.run();
    CHECK(results >= 9);
    CHECK(results <= 10);
    CHECK(made <= 11);
  }

  TEST_CASE("for_each: none is none") {
    asio::io_context context;
    bool over = false;
    async_for_each(
        context, std::vector<command>(), {}, [](const pool_result&) { FAIL("no command"); },
        [&](std::exception_ptr error, const pool_summary& all) {
          CHECK_FALSE(error);
          CHECK(all.started == 0);
          over = true;
        });
    context.run();
    CHECK(over);
  }

  TEST_CASE("for_each: an exception of the handler stops all and is what comes") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    int results = 0;
    std::string text;
    async_for_each(
        context, std::vector{steps({"exit:0"}), steps({"stay"}), steps({"stay"})},
        {.concurrency = 2},
        [&](const pool_result&) {
          if (++results == 1) {
            throw std::runtime_error("enough");
          }
        },
        [&](std::exception_ptr error, const pool_summary&) { text = text_of(error); });
    context.run();
    CHECK(text == "enough");
  }

  TEST_CASE("for_each: it is awaited, and cancelled, like any operation") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    asio::cancellation_signal cancel;
    int results = 0;
    std::string text;
    const std::vector list(5, steps({"stay"}));
    const auto all = [&]() -> asio::awaitable<void> {
      co_await async_for_each(
          context, list, {.concurrency = 2},
          [&](const pool_result& result) {
            ++results;
            CHECK(result.why() == failure_kind::cancelled);
          },
          asio::use_awaitable);
    };
    asio::co_spawn(context, all,
                   asio::bind_cancellation_slot(
                       cancel.slot(), [&](std::exception_ptr error) { text = text_of(error); }));
    asio::steady_timer soon(context, 1ms); // any time will do
    soon.async_wait([&](error_code) { cancel.emit(asio::cancellation_type::terminal); });
    context.run();
    CHECK(results <= 2);
    CHECK(text.find("pool: ") == 0);
  }

  TEST_CASE("for_each: the commands come from a coroutine, which is asked when there is room") {
    const leak_check leaks;
    asio::io_context context;
    int asked = 0;
    async_source from(context, [&]() -> asio::awaitable<std::optional<command>> {
      co_await asio::post(context, asio::use_awaitable);
      if (++asked > 6) {
        co_return std::nullopt;
      }
      co_return steps({"exit:0"});
    });
    int results = 0;
    async_for_each(
        context, from, {.concurrency = 2}, [&](const pool_result&) { ++results; },
        [](std::exception_ptr error, const pool_summary& all) {
          CHECK_FALSE(error);
          CHECK(all.succeeded == 6);
        });
    context.run();
    CHECK(results == 6);
    CHECK(asked == 7);
  }

  TEST_CASE("for_each: what the source's coroutine throws stops all") {
    const leak_check leaks;
    asio::io_context context;
    async_source from(context, []() -> asio::awaitable<std::optional<command>> {
      throw std::runtime_error("no list");
      co_return std::nullopt;
    });
    std::string text;
    async_for_each(
        context, from, {}, [](const pool_result&) { FAIL("no command"); },
        [&](std::exception_ptr error, const pool_summary&) { text = text_of(error); });
    context.run();
    CHECK(text == "no list");
  }

  TEST_CASE("for_each: a source that is waited for is cancelled with all") {
    const watchdog guard;
    asio::io_context context;
    asio::cancellation_signal cancel;
    bool asked = false;
    bool left = false;
    async_source from(context, [&]() -> asio::awaitable<std::optional<command>> {
      asio::steady_timer never(context, 1h);
      asked = true;
      try {
        co_await never.async_wait(asio::use_awaitable);
      } catch (const system_error&) {
        left = true;
        throw;
      }
      co_return std::nullopt;
    });
    bool over = false;
    async_for_each(
        context, std::move(from), {}, [](const pool_result&) { FAIL("no command"); },
        asio::bind_cancellation_slot(cancel.slot(),
                                     [&](std::exception_ptr error, const pool_summary&) {
                                       CHECK(error);
                                       over = true;
                                     }));
    while (!asked) {
      context.run_one();
    }
    CHECK_FALSE(over);
    cancel.emit(asio::cancellation_type::total);
    context.run();
    CHECK(over);
    CHECK(left);
  }

  TEST_CASE("for_each: a loop that is left in the middle leaks nothing") {
    const leak_check leaks;
    {
      asio::io_context context;
      bool asked = false;
      async_source from(context, [&]() -> asio::awaitable<std::optional<command>> {
        asio::steady_timer never(context, 1h);
        asked = true;
        co_await never.async_wait(asio::use_awaitable);
        co_return std::nullopt;
      });
      async_for_each(
          context, std::move(from), {}, [](const pool_result&) {},
          [](std::exception_ptr, const pool_summary&) { FAIL("it never ends"); });
      while (!asked) {
        context.run_one();
      }
    }
  }

} // TEST_SUITE
