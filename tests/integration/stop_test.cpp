#include <subproc/process.hpp>

#include "children.hpp"
#include "ended.hpp"
#include "stop_answer.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <chrono>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

TEST_SUITE("stop") {

  TEST_CASE("stop: it ends who does not end, and gives how [A48]") {
    const leak_check leaks;
    asio::io_context context;
    for (const bool group : {false, true}) {
      for (const bool blocking : {false, true}) {
        const command cmd = unending_child();
        process child(context, group ? command(cmd).process_group(0) : cmd);
        stop_answer stopped;
        if (blocking) {
          stopped.result = child.stop(0s);
        } else {
          child.async_stop(0s, stopped.handler());
          CHECK(stopped.calls == 0);
          context.restart();
          context.run();
          CHECK(stopped.calls == 1);
          CHECK_FALSE(stopped.ec);
        }
        CHECK(stopped.result.survivors.empty());
        CHECK(stopped.result.status == child.status());
        CHECK((child.status() == killed() || child.status() == terminated()));
      }
    }
  }

  TEST_CASE("stop: while one waits another is refused, and a cancelled one sends no signal") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, unending_child());
    const std::vector<stop_step> only_waits{{0, 1h}};
    for (const asio::cancellation_type type :
         {asio::cancellation_type::terminal, asio::cancellation_type::partial,
          asio::cancellation_type::total}) {
      asio::cancellation_signal signal;
      stop_answer first;
      stop_answer second;
      child.async_stop(only_waits, asio::bind_cancellation_slot(signal.slot(), first.handler()));
      child.async_stop(0s, second.handler());
      error_code ec;
      child.stop(0s, ec);
      CHECK(ec == errc::operation_pending);
      context.restart();
      context.poll();
      CHECK(second.ec == errc::operation_pending);
      CHECK(first.calls == 0);
      signal.emit(type);
      CHECK(first.calls == 0); // not from inside emit
      context.restart();
      context.run(); // returns: no timer of the stop is left
      CHECK(first.calls == 1);
      CHECK(first.ec == asio::error::operation_aborted);
    }
    CHECK(child.poll() == std::nullopt);
  }

  TEST_CASE("stop: of a child that has ended, it gives the status and does nothing") {
    const leak_check leaks;
    asio::io_context context;
    for (const bool seen : {false, true}) {
      for (const bool group : {false, true}) {
        command cmd = steps({"exit:4"});
        process child(context, group ? cmd.process_group(0) : cmd);
        REQUIRE(has_ended(child));
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

} // TEST_SUITE
