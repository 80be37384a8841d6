#include <communicate_machine.hpp>

#include "../printing.hpp"

#include <algorithm>
#include <functional>
#include <random>

namespace {

using namespace subproc;
using namespace std::chrono_literals;
using detail::communicate_machine;
using detail::stream_id;
using setup = communicate_machine::setup;

constexpr auto never = steady_clock::time_point::max();
const auto ok = exit_status::from_code(0);

// Points in made-up time.
steady_clock::time_point at(std::chrono::milliseconds since) {
  return steady_clock::time_point(std::chrono::hours(1) + since);
}

setup piped_all() {
  setup streams;
  streams.in = streams.out = streams.err = true;
  return streams;
}

setup piped_out() {
  setup streams;
  streams.out = true;
  return streams;
}

setup teed_out() {
  setup streams;
  streams.out = streams.err = streams.out_teed = true;
  return streams;
}

setup quiet_after_10ms() {
  setup streams = piped_all();
  streams.inactivity_timeout = 10ms;
  return streams;
}

bool wants_anything(const communicate_machine& machine) {
  return !machine.to_write().empty() || machine.wants_close_in() ||
         machine.wants_read(stream_id::out) || machine.wants_read(stream_id::err) ||
         !machine.to_pass(stream_id::out).empty() || !machine.to_pass(stream_id::err).empty() ||
         machine.wants_exit() || machine.wants_sweep();
}

void close_in(communicate_machine& machine) {
  REQUIRE(machine.wants_close_in());
  machine.closed_in();
}

// Everything that a child's end brings, in one go.
void finish(communicate_machine& machine, exit_status status = ok) {
  if (machine.wants_close_in()) {
    machine.closed_in();
  }
  for (const stream_id stream : {stream_id::out, stream_id::err}) {
    if (machine.wants_read(stream)) {
      machine.ended(stream);
    }
  }
  machine.exited(status, at(0ms));
  if (machine.wants_close_in()) {
    machine.closed_in();
  }
}

TEST_SUITE("communicate_machine") {
  TEST_CASE("communicate_machine: before the first call nothing is wanted") {
    const communicate_machine machine(piped_all());
    CHECK(machine.done());
    CHECK_FALSE(wants_anything(machine));
    CHECK(machine.wakes_at() == never);
  }

  TEST_CASE("communicate_machine: without pipes it is a wait") {
    communicate_machine machine({});
    REQUIRE_FALSE(machine.begin({}, never));
    CHECK_FALSE(machine.done());
    CHECK(machine.wants_exit());
    CHECK_FALSE(machine.wants_read(stream_id::out));
    CHECK_FALSE(machine.wants_close_in());
    machine.exited(exit_status::from_code(47), at(0ms));
    REQUIRE(machine.done());
    CHECK_FALSE(machine.outcome());
    const communicate_result result = machine.take();
    CHECK(result.status == exit_status::from_code(47));
    CHECK_FALSE(result.out_captured);
    CHECK_FALSE(result.err_captured);

    REQUIRE_FALSE(machine.begin({}, never)); // nothing was taken: it can be asked again
    CHECK(machine.done());
    CHECK(machine.take().status == exit_status::from_code(47));
  }

  TEST_CASE("communicate_machine: it is done after the last of the four events, in every order") {
    std::string order = "eiox";
    int orders = 0;
    do {
      CAPTURE(order);
      communicate_machine machine(piped_all());
      REQUIRE_FALSE(machine.begin("input", never));
      machine.received(stream_id::out, "out");
      machine.received(stream_id::err, "err");
      for (std::size_t i = 0; i < order.size(); ++i) {
        REQUIRE_FALSE(machine.done());
        switch (order[i]) {
        case 'i':
          machine.wrote(machine.to_write().size());
          close_in(machine);
          break;
        case 'o':
          machine.ended(stream_id::out);
          break;
        case 'e':
          machine.ended(stream_id::err);
          break;
        default:
          machine.exited(ok, at(0ms));
        }
      }
      REQUIRE(machine.done());
      CHECK_FALSE(machine.outcome());
      CHECK_FALSE(wants_anything(machine));
      CHECK(machine.wakes_at() == never);
      const communicate_result result = machine.take();
      CHECK(result.out == "out");
      CHECK(result.err == "err");
      CHECK(result.out_captured);
      CHECK(result.err_captured);
      CHECK(result.status == ok);
      CHECK_FALSE(result.pipes_held);
      ++orders;
    } while (std::next_permutation(order.begin(), order.end()));
    CHECK(orders == 24);
  }

  TEST_CASE("communicate_machine: the end of one output does not end the other") {
    communicate_machine machine(piped_all());
    REQUIRE_FALSE(machine.begin({}, never));
    machine.ended(stream_id::out);
    CHECK_FALSE(machine.wants_read(stream_id::out));
    CHECK(machine.wants_read(stream_id::err));
    CHECK(machine.wants_exit());
  }

  TEST_CASE("communicate_machine: an exit is no end of file, and output after it counts") {
    communicate_machine machine(piped_out());
    REQUIRE_FALSE(machine.begin({}, never));
    machine.exited(ok, at(0ms));
    CHECK_FALSE(machine.done());
    CHECK(machine.wants_read(stream_id::out));
    machine.received(stream_id::out, "tail");
    machine.ended(stream_id::out);
    CHECK(machine.take().out == "tail");
  }

  TEST_CASE("communicate_machine: an exit known before the call is enough") {
    communicate_machine machine(piped_out());
    machine.exited(ok, at(0ms));
    REQUIRE_FALSE(machine.begin({}, never));
    CHECK_FALSE(machine.wants_exit());
    machine.ended(stream_id::out);
    CHECK(machine.done());
    CHECK(machine.take().status == ok);
  }

  TEST_CASE("communicate_machine: the first exit counts") {
    communicate_machine machine({});
    REQUIRE_FALSE(machine.begin({}, never));
    machine.exited(ok, at(0ms));
    machine.exited(exit_status::from_code(9), at(1ms));
    CHECK(machine.take().status == ok);
  }

  TEST_CASE("communicate_machine: input is written piece by piece, then stdin is closed") {
    communicate_machine machine(piped_all());
    REQUIRE_FALSE(machine.begin("abcdef", never));
    CHECK(machine.to_write() == "abcdef");
    CHECK_FALSE(machine.wants_close_in());
    machine.wrote(2);
    CHECK(machine.to_write() == "cdef");
    machine.wrote(4);
    CHECK(machine.to_write().empty());
    close_in(machine);
    CHECK_FALSE(machine.wants_close_in());
  }

  TEST_CASE("communicate_machine: empty input closes stdin at once") {
    communicate_machine machine(piped_all());
    REQUIRE_FALSE(machine.begin({}, never));
    CHECK(machine.to_write().empty());
    CHECK(machine.wants_close_in());
  }

  TEST_CASE(
      "communicate_machine: input for a stdin that is not piped is refused without any effect") {
    communicate_machine machine(piped_out());
    CHECK(machine.begin("input", never) == std::errc::invalid_argument);
    CHECK(machine.done());
    CHECK_FALSE(wants_anything(machine));
    REQUIRE_FALSE(machine.begin({}, never));
    machine.received(stream_id::out, "x");
    finish(machine);
    CHECK(machine.take().out == "x");
  }

  TEST_CASE("communicate_machine: a refused call gives nothing out") {
    communicate_machine machine(piped_out());
    REQUIRE(machine.begin("input", never));
    const communicate_result refused = machine.take();
    CHECK(refused.out.empty());
    REQUIRE_FALSE(machine.begin({}, never));
    machine.received(stream_id::out, "all");
    finish(machine);
    CHECK(machine.take().out == "all");
  }

  TEST_CASE(
      "communicate_machine: input is given once, to the first call that succeeds in beginning") {
    communicate_machine machine(piped_all());
    REQUIRE_FALSE(machine.begin("one", at(10ms)));
    machine.wrote(1);
    machine.cancel();
    CHECK(machine.begin("two", never) == std::errc::invalid_argument);
    CHECK(machine.done());
    REQUIRE_FALSE(machine.begin({}, never));
    CHECK(machine.to_write() == "ne");

    communicate_machine without(piped_all());
    REQUIRE_FALSE(without.begin({}, never));
    without.cancel();
    CHECK(without.begin("late", never) == std::errc::invalid_argument);
  }

  TEST_CASE("communicate_machine: a child that does not read its input is no error [K60] [T38]") {
    communicate_machine machine(piped_all());
    REQUIRE_FALSE(machine.begin(std::string(1'000'000, 'i'), never));
    machine.wrote(65'536);
    machine.write_failed(asio::error::broken_pipe);
    CHECK_FALSE(machine.done());
    CHECK(machine.to_write().empty());
    close_in(machine);
    machine.received(stream_id::out, "still told");
    finish(machine);
    CHECK_FALSE(machine.outcome());
    CHECK(machine.take().out == "still told");
  }

  TEST_CASE(
      "communicate_machine: any other error of a write ends the call, and nothing is lost [K60]") {
    communicate_machine machine(piped_all());
    REQUIRE_FALSE(machine.begin("input", never));
    machine.received(stream_id::out, "so far");
    const error_code broken = make_error_code(std::errc::io_error);
    machine.write_failed(broken);
    REQUIRE(machine.done());
    CHECK(machine.outcome() == broken);
    const communicate_result result = machine.take();
    CHECK(result.out.empty());
    CHECK(result.out_held == 6);
    REQUIRE_FALSE(machine.begin({}, never));
    CHECK(machine.to_write().empty());
    CHECK(machine.wants_close_in());
    finish(machine);
    CHECK(machine.take().out == "so far");
  }

  TEST_CASE("communicate_machine: an error of a read ends the call and that stream") {
    communicate_machine machine(piped_all());
    REQUIRE_FALSE(machine.begin({}, never));
    machine.received(stream_id::err, "e");
    const error_code broken = make_error_code(std::errc::io_error);
    machine.read_failed(stream_id::out, broken);
    CHECK(machine.outcome() == broken);
    REQUIRE_FALSE(machine.begin({}, never));
    CHECK_FALSE(machine.wants_read(stream_id::out));
    CHECK(machine.wants_read(stream_id::err));
    finish(machine);
    CHECK(machine.take().err == "e");
  }

  TEST_CASE("communicate_machine: after the exit the rest of the input is not written [T38]") {
    communicate_machine machine(piped_all());
    REQUIRE_FALSE(machine.begin("never read", never));
    machine.exited(ok, at(0ms));
    CHECK(machine.to_write().empty());
    CHECK(machine.wants_close_in());
  }

  TEST_CASE("communicate_machine: input that comes after the exit is not written either") {
    communicate_machine machine(piped_all());
    machine.exited(ok, at(0ms));
    REQUIRE_FALSE(machine.begin("never read", never));
    CHECK(machine.to_write().empty());
    finish(machine);
    CHECK(machine.done());
    CHECK_FALSE(machine.outcome());
  }

  TEST_CASE("communicate_machine: at the deadline it first wants to know what is true [T40]") {
    communicate_machine machine(piped_out());
    REQUIRE_FALSE(machine.begin({}, at(100ms)));
    CHECK(machine.wakes_at() == at(100ms));
    machine.timer(at(99ms));
    CHECK_FALSE(machine.wants_sweep());
    machine.timer(at(100ms));
    CHECK(machine.wants_sweep());
    CHECK_FALSE(machine.done());

    SUBCASE("the child has ended: its real result wins") {
      machine.exited(ok, at(500ms));
      machine.received(stream_id::out, "all of it");
      machine.ended(stream_id::out);
      CHECK(machine.done());
      machine.swept();
      CHECK_FALSE(machine.outcome());
      CHECK(machine.take().out == "all of it");
    }
    SUBCASE("the child runs: the time is over") {
      machine.swept();
      CHECK(machine.done());
      CHECK(machine.outcome() == asio::error::timed_out);
    }
    SUBCASE("the child has ended and somebody holds its pipe: the time is over") {
      machine.exited(ok, at(500ms));
      machine.received(stream_id::out, "part");
      machine.swept();
      CHECK(machine.outcome() == asio::error::timed_out);
      CHECK(machine.take().out_held == 4);
    }
  }

  TEST_CASE(
      "communicate_machine: a child that ended in time with its input unread is a success [T40]") {
    communicate_machine machine(piped_all());
    REQUIRE_FALSE(machine.begin("unread", at(100ms)));
    machine.timer(at(900ms));
    REQUIRE(machine.wants_sweep());
    machine.exited(ok, at(900ms));
    machine.ended(stream_id::out);
    machine.ended(stream_id::err);
    machine.swept();
    CHECK_FALSE(machine.done());
    CHECK_FALSE(machine.wants_sweep());
    close_in(machine);
    REQUIRE(machine.done());
    CHECK_FALSE(machine.outcome());
  }

  TEST_CASE("communicate_machine: a sweep nobody asked for does nothing") {
    communicate_machine machine(piped_out());
    REQUIRE_FALSE(machine.begin({}, at(100ms)));
    machine.swept();
    CHECK_FALSE(machine.done());
    machine.timer(at(100ms));
    machine.swept();
    machine.swept();
    CHECK(machine.outcome() == asio::error::timed_out);
    machine.timer(at(101ms));
    CHECK_FALSE(machine.wants_sweep());
  }

  TEST_CASE("communicate_machine: a deadline in the past is looked at once before it counts") {
    communicate_machine machine(piped_out());
    REQUIRE_FALSE(machine.begin({}, at(-100ms)));
    CHECK_FALSE(machine.done());
    CHECK(machine.wakes_at() == at(-100ms));
    machine.timer(at(0ms));
    CHECK(machine.wants_sweep());
  }

  TEST_CASE("communicate_machine: timed out and resumed, no byte is lost or doubled [T41]") {
    communicate_machine machine(piped_all());
    REQUIRE_FALSE(machine.begin("0123456789", at(100ms)));
    machine.wrote(4);
    machine.received(stream_id::out, "aaa");
    machine.received(stream_id::err, "e");
    machine.timer(at(100ms));
    machine.swept();
    REQUIRE(machine.outcome() == asio::error::timed_out);
    communicate_result result = machine.take();
    CHECK(result.out.empty());
    CHECK(result.out_held == 3);
    CHECK(result.err_held == 1);
    CHECK(machine.view(stream_id::out) == "aaa");
    CHECK(machine.view(stream_id::err) == "e");

    REQUIRE_FALSE(machine.begin({}, at(200ms)));
    CHECK(machine.wakes_at() == at(200ms));
    CHECK(machine.to_write() == "456789");
    machine.received(stream_id::out, "bbb");
    machine.timer(at(200ms));
    machine.swept();
    CHECK(machine.take().out_held == 6);

    REQUIRE_FALSE(machine.begin({}, never));
    machine.wrote(6);
    finish(machine, exit_status::from_code(3));
    REQUIRE(machine.done());
    CHECK_FALSE(machine.outcome());
    result = machine.take();
    CHECK(result.out == "aaabbb");
    CHECK(result.err == "e");
    CHECK(result.status == exit_status::from_code(3));
    CHECK(result.out_held == 0);
  }

  TEST_CASE("communicate_machine: cancelled, it wants nothing more and keeps everything") {
    communicate_machine machine(piped_all());
    REQUIRE_FALSE(machine.begin("in", at(100ms)));
    machine.received(stream_id::out, "kept");
    machine.cancel();
    CHECK(machine.done());
    CHECK(machine.outcome() == asio::error::operation_aborted);
    CHECK_FALSE(wants_anything(machine));
    CHECK(machine.wakes_at() == never);
    CHECK(machine.take().out_held == 4);
    REQUIRE_FALSE(machine.begin({}, never));
    CHECK(machine.to_write() == "in");
    machine.wrote(2);
    finish(machine);
    CHECK(machine.take().out == "kept");
  }

  TEST_CASE("communicate_machine: the first outcome stays") {
    communicate_machine machine(piped_out());
    REQUIRE_FALSE(machine.begin({}, never));
    machine.cancel();
    machine.write_failed(make_error_code(std::errc::io_error));
    finish(machine);
    CHECK(machine.outcome() == asio::error::operation_aborted);

    communicate_machine success(piped_out());
    REQUIRE_FALSE(success.begin({}, never));
    finish(success);
    success.cancel();
    CHECK_FALSE(success.outcome());
  }

  TEST_CASE("communicate_machine: an end seen while no call is under way counts for the next") {
    communicate_machine machine(piped_out());
    REQUIRE_FALSE(machine.begin({}, never));
    machine.cancel();
    machine.exited(exit_status::from_code(5), at(0ms));
    CHECK(machine.outcome() == asio::error::operation_aborted);
    REQUIRE_FALSE(machine.begin({}, never));
    CHECK_FALSE(machine.wants_exit());
    machine.ended(stream_id::out);
    CHECK(machine.take().status == exit_status::from_code(5));
  }

  TEST_CASE("communicate_machine: a capture is given out once [C53]") {
    communicate_machine machine(piped_out());
    REQUIRE_FALSE(machine.begin({}, never));
    machine.received(stream_id::out, "once");
    finish(machine, exit_status::from_code(4));
    CHECK(machine.take().out == "once");
    CHECK(machine.begin({}, never) == errc::already_taken);
    CHECK(machine.begin("input", never) == errc::already_taken);
    CHECK(machine.done());
    CHECK_FALSE(wants_anything(machine));
    const communicate_result again = machine.take();
    CHECK(again.out.empty());
    CHECK(again.out_held == 0);
    CHECK(again.status == exit_status::from_code(4));
    CHECK(machine.view(stream_id::out).empty());
  }

  TEST_CASE("communicate_machine: everything can be taken whatever the outcome was") {
    communicate_machine machine(piped_out());
    REQUIRE_FALSE(machine.begin({}, at(100ms)));
    machine.received(stream_id::out, "part");
    machine.timer(at(100ms));
    machine.swept();
    CHECK(machine.take_all().out == "part");
    CHECK(machine.begin({}, never) == errc::already_taken);
  }

  TEST_CASE("communicate_machine: after a time-out it reads on beside a stop, without a deadline") {
    communicate_machine machine(piped_all());
    REQUIRE_FALSE(machine.begin("input", at(100ms)));
    machine.wrote(2);
    machine.received(stream_id::out, "before ");
    machine.timer(at(100ms));
    machine.swept();
    REQUIRE(machine.outcome() == asio::error::timed_out);

    REQUIRE(machine.begin_drain());
    CHECK_FALSE(machine.done());
    CHECK(machine.wakes_at() == never);
    CHECK(machine.to_write() == "put");
    machine.received(stream_id::out, "after");
    machine.exited(exit_status::from_signal(15), at(150ms));
    machine.scope_ended(); // whoever holds the pipes now is not waited for
    REQUIRE(machine.wants_sweep());
    close_in(machine);
    machine.swept();
    CHECK(machine.done());
    CHECK_FALSE(machine.outcome());
    CHECK(machine.take().out == "before after");
  }

  TEST_CASE("communicate_machine: over the limit it reads on beside a stop, and keeps no more") {
    setup streams = piped_out();
    streams.limit = {10, overflow::error};
    communicate_machine machine(streams);
    REQUIRE_FALSE(machine.begin({}, never));
    machine.received(stream_id::out, "0123456789abc");
    REQUIRE(machine.outcome() == errc::output_limit);
    REQUIRE(machine.begin_drain());
    machine.received(stream_id::out, std::string(1'000, 'x'));
    CHECK_FALSE(machine.done());
    finish(machine);
    const communicate_result result = machine.take();
    CHECK(result.out == "0123456789");
    CHECK(result.out_dropped == 1'003);
  }

  TEST_CASE("communicate_machine: within the limit at a time-out, it is none beside the stop") {
    setup streams = piped_out();
    streams.limit = {10, overflow::error};
    communicate_machine machine(streams);
    REQUIRE_FALSE(machine.begin({}, at(100ms)));
    machine.timer(at(100ms));
    machine.swept();
    REQUIRE(machine.begin_drain());
    machine.received(stream_id::out, "0123456789abc");
    CHECK_FALSE(machine.done());
    finish(machine);
    CHECK(machine.take().out == "0123456789");
  }

  TEST_CASE("communicate_machine: after an error or a success there is nothing to read on") {
    communicate_machine machine(piped_out());
    REQUIRE_FALSE(machine.begin({}, never));
    SUBCASE("an error") { machine.read_failed(stream_id::out, asio::error::fault); }
    SUBCASE("no memory") { machine.out_of_memory(); }
    SUBCASE("a cancellation") { machine.cancel(); }
    SUBCASE("a success") { finish(machine); }
    REQUIRE(machine.done());
    CHECK_FALSE(machine.begin_drain());
    CHECK(machine.done());
  }

  TEST_CASE("communicate_machine: a drain bound ends a capture that somebody else holds [T36]") {
    setup streams = piped_all();
    streams.drain_timeout = 50ms;
    communicate_machine machine(streams);
    REQUIRE_FALSE(machine.begin({}, never));
    close_in(machine);
    CHECK(machine.wakes_at() == never);
    machine.received(stream_id::out, "out");
    machine.ended(stream_id::err);
    machine.exited(ok, at(1'000ms));
    CHECK(machine.wakes_at() == at(1'050ms));
    machine.timer(at(1'049ms));
    CHECK_FALSE(machine.wants_sweep());
    machine.timer(at(1'050ms));
    REQUIRE(machine.wants_sweep());
    machine.received(stream_id::out, " and more");
    machine.swept();
    REQUIRE(machine.done());
    CHECK_FALSE(machine.outcome());
    const communicate_result result = machine.take();
    CHECK(result.pipes_held);
    CHECK(result.out == "out and more");
  }

  TEST_CASE(
      "communicate_machine: end of file in time, or in the sweep, means nobody held the pipe") {
    for (const bool in_sweep : {false, true}) {
      setup streams = piped_out();
      streams.drain_timeout = 0ms;
      communicate_machine machine(streams);
      REQUIRE_FALSE(machine.begin({}, never));
      machine.exited(ok, at(0ms));
      CHECK(machine.wakes_at() == at(0ms));
      if (in_sweep) {
        machine.timer(at(0ms));
        REQUIRE(machine.wants_sweep());
      }
      machine.ended(stream_id::out);
      machine.swept();
      REQUIRE(machine.done());
      CHECK_FALSE(machine.take().pipes_held);
    }
  }

  TEST_CASE("communicate_machine: with nothing left to drain the bound does not matter") {
    setup streams = piped_out();
    streams.drain_timeout = 50ms;
    communicate_machine machine(streams);
    REQUIRE_FALSE(machine.begin({}, never));
    machine.ended(stream_id::out);
    machine.exited(ok, at(0ms));
    CHECK(machine.done());
  }

  TEST_CASE("communicate_machine: of deadline and drain bound the earlier wakes it") {
    setup streams = piped_out();
    streams.drain_timeout = 50ms;
    SUBCASE("deadline first") {
      communicate_machine machine(streams);
      REQUIRE_FALSE(machine.begin({}, at(30ms)));
      machine.exited(ok, at(0ms));
      CHECK(machine.wakes_at() == at(30ms));
      machine.timer(at(30ms));
      machine.swept();
      CHECK(machine.outcome() == asio::error::timed_out);
      REQUIRE_FALSE(machine.begin({}, never)); // the bound goes on counting from the exit
      CHECK(machine.wakes_at() == at(50ms));
      machine.timer(at(50ms));
      machine.swept();
      CHECK_FALSE(machine.outcome());
      CHECK(machine.take().pipes_held);
    }
    SUBCASE("both over: the exit was in time, so the drain bound counts") {
      communicate_machine machine(streams);
      REQUIRE_FALSE(machine.begin({}, at(60ms)));
      machine.exited(ok, at(0ms));
      machine.timer(at(70ms));
      machine.swept();
      CHECK_FALSE(machine.outcome());
      CHECK(machine.take().pipes_held);
    }
  }

  TEST_CASE(
      "communicate_machine: a drain that is over stays over when the call is cancelled in it") {
    setup streams = piped_out();
    streams.drain_timeout = 50ms;
    communicate_machine machine(streams);
    REQUIRE_FALSE(machine.begin({}, never));
    machine.exited(ok, at(0ms));
    machine.timer(at(50ms));
    machine.cancel();
    CHECK_FALSE(machine.wants_sweep());
    REQUIRE_FALSE(machine.begin({}, never));
    CHECK_FALSE(machine.done());
    REQUIRE(machine.wakes_at() != never);
    machine.timer(at(60ms));
    machine.swept();
    CHECK(machine.take().pipes_held);
  }

  TEST_CASE("communicate_machine: that a pipe was held stays known however often it is looked at") {
    setup streams = piped_all();
    streams.drain_timeout = 50ms;
    communicate_machine machine(streams);
    REQUIRE_FALSE(machine.begin({}, never));
    machine.exited(ok, at(0ms));
    for (int look = 0; look < 2; ++look) {
      machine.timer(at(50ms));
      machine.swept();
    }
    close_in(machine);
    CHECK(machine.done());
    CHECK(machine.take().pipes_held);
  }

  TEST_CASE(
      "communicate_machine: over the limit the call ends, and the next returns everything [T42]") {
    setup streams = piped_all();
    streams.limit = {4, overflow::error};
    communicate_machine machine(streams);
    REQUIRE_FALSE(machine.begin({}, never));
    machine.received(stream_id::err, "1234");
    CHECK_FALSE(machine.done());
    machine.received(stream_id::out, "12345");
    REQUIRE(machine.done());
    CHECK(machine.outcome() == errc::output_limit);
    CHECK(machine.take().out_held == 5);
    REQUIRE_FALSE(machine.begin({}, never));
    finish(machine);
    const communicate_result result = machine.take();
    CHECK(result.out == "12345");
    CHECK(result.err == "1234");
    CHECK_FALSE(result.truncated());
  }

  TEST_CASE(
      "communicate_machine: a policy that drops keeps its bytes and counts the others [T42]") {
    setup streams = piped_all();
    streams.limit = {4, overflow::head};
    communicate_machine machine(streams);
    REQUIRE_FALSE(machine.begin({}, never));
    machine.received(stream_id::out, "123456");
    machine.received(stream_id::err, "12");
    CHECK_FALSE(machine.done());
    CHECK(machine.received(stream_id::out) == 6);
    finish(machine);
    const communicate_result result = machine.take();
    CHECK(result.out == "1234");
    CHECK(result.out_dropped == 2);
    CHECK(result.err == "12");
    CHECK(result.err_dropped == 0);
    CHECK(result.truncated());
  }

  TEST_CASE("communicate_machine: a teed stream is read again when its sink has taken it all") {
    communicate_machine machine(teed_out());
    REQUIRE_FALSE(machine.begin({}, never));
    CHECK(machine.to_pass(stream_id::out).empty());
    machine.received(stream_id::out, "abcdef");
    machine.received(stream_id::err, "not teed");
    CHECK(machine.to_pass(stream_id::out) == "abcdef");
    CHECK(machine.to_pass(stream_id::err).empty());
    CHECK_FALSE(machine.wants_read(stream_id::out));
    CHECK(machine.wants_read(stream_id::err)); // only the one stream is held back
    machine.passed(stream_id::out, 2);
    CHECK(machine.to_pass(stream_id::out) == "cdef");
    CHECK_FALSE(machine.wants_read(stream_id::out));
    machine.passed(stream_id::out, 4);
    CHECK(machine.to_pass(stream_id::out).empty());
    CHECK(machine.wants_read(stream_id::out));
    finish(machine);
    const communicate_result result = machine.take();
    CHECK(result.out == "abcdef");
    CHECK_FALSE(result.out_tee_error);
  }

  TEST_CASE("communicate_machine: the end waits for the sink, or for its failure") {
    for (const bool fails : {false, true}) {
      communicate_machine machine(teed_out());
      REQUIRE_FALSE(machine.begin({}, never));
      machine.received(stream_id::out, "abc");
      machine.ended(stream_id::out);
      finish(machine);
      CHECK_FALSE(machine.done());
      if (fails) {
        machine.pass_failed(stream_id::out, asio::error::broken_pipe);
      } else {
        machine.passed(stream_id::out, 3);
      }
      REQUIRE(machine.done());
      CHECK_FALSE(machine.outcome());
      const communicate_result result = machine.take();
      CHECK(result.out == "abc");
      CHECK(static_cast<bool>(result.out_tee_error) == fails);
      CHECK_FALSE(result.err_tee_error);
    }
  }

  TEST_CASE("communicate_machine: a sink that failed gets nothing more, the capture all [T38]") {
    communicate_machine machine(teed_out());
    REQUIRE_FALSE(machine.begin({}, never));
    machine.received(stream_id::out, "abc");
    machine.passed(stream_id::out, 1);
    machine.pass_failed(stream_id::out, asio::error::broken_pipe);
    CHECK(machine.to_pass(stream_id::out).empty());
    CHECK(machine.wants_read(stream_id::out));
    machine.received(stream_id::out, "def");
    CHECK(machine.to_pass(stream_id::out).empty());
    finish(machine);
    CHECK(machine.take().out == "abcdef");
  }

  TEST_CASE("communicate_machine: the next call passes on what the last one could not [T41]") {
    communicate_machine machine(teed_out());
    REQUIRE_FALSE(machine.begin({}, at(10ms)));
    machine.received(stream_id::out, "abc");
    machine.passed(stream_id::out, 1);
    machine.timer(at(10ms));
    CHECK(machine.wants_read(stream_id::out)); // in a sweep what is there decides
    machine.received(stream_id::out, "def");
    machine.swept();
    CHECK(machine.outcome() == asio::error::timed_out);
    CHECK(machine.take().out_held == 6);
    REQUIRE_FALSE(machine.begin({}, never));
    CHECK(machine.to_pass(stream_id::out) == "bcdef");
    machine.cancel();
    REQUIRE_FALSE(machine.begin({}, never));
    machine.passed(stream_id::out, 5);
    finish(machine);
    CHECK(machine.take().out == "abcdef");
  }

  TEST_CASE("communicate_machine: what a limit drops or ends a call with is passed on [T42]") {
    for (const overflow policy : {overflow::head, overflow::tail, overflow::error}) {
      setup streams = teed_out();
      streams.limit = {2, policy};
      communicate_machine machine(streams);
      REQUIRE_FALSE(machine.begin({}, never));
      machine.received(stream_id::out, "abcdef");
      CHECK(machine.done() == (policy == overflow::error));
      CHECK(machine.to_pass(stream_id::out) == "abcdef"); // also in a call that is done
      machine.passed(stream_id::out, 6);
      CHECK(machine.done() == (policy == overflow::error));
    }
  }

  TEST_CASE("communicate_machine: at the deadline only the last call gives up on the sink [T40]") {
    for (const bool last : {false, true}) {
      for (const bool ended : {false, true}) {
        communicate_machine machine(teed_out());
        REQUIRE_FALSE(machine.begin({}, at(10ms), last));
        machine.ended(stream_id::err);
        machine.received(stream_id::out, "abc");
        machine.timer(at(10ms));
        REQUIRE(machine.wants_sweep());
        if (ended) {
          machine.exited(ok, at(10ms));
          machine.received(stream_id::out, "def");
          machine.ended(stream_id::out);
        }
        machine.swept();
        REQUIRE(machine.done());
        const communicate_result result = machine.take();
        if (last && ended) {
          CHECK_FALSE(machine.outcome());
          CHECK(result.out == "abcdef");
          CHECK(result.out_tee_error == std::errc::timed_out);
        } else {
          CHECK(machine.outcome() == asio::error::timed_out);
          CHECK_FALSE(result.out_tee_error);
          CHECK(result.out_held == (ended ? 6 : 3));
        }
      }
    }
  }

  TEST_CASE("communicate_machine: the drain bound is not the sink's, the deadline is [T36]") {
    setup streams = teed_out();
    streams.drain_timeout = 5ms;
    communicate_machine machine(streams);
    REQUIRE_FALSE(machine.begin({}, at(50ms)));
    machine.ended(stream_id::err);
    machine.received(stream_id::out, "abc");
    machine.exited(ok, at(0ms));
    machine.timer(at(5ms));
    machine.swept();
    CHECK_FALSE(machine.done());
    CHECK(machine.wakes_at() == at(50ms));
    machine.timer(at(50ms));
    machine.swept();
    CHECK(machine.outcome() == asio::error::timed_out);
    REQUIRE_FALSE(machine.begin({}, never));
    machine.passed(stream_id::out, 3);
    REQUIRE(machine.done());
    CHECK(machine.take().pipes_held);
  }

  TEST_CASE("communicate_machine: after a stop no sink is waited for") {
    communicate_machine machine(teed_out());
    REQUIRE_FALSE(machine.begin({}, never, true));
    machine.received(stream_id::out, "abc");
    machine.exited(ok, at(0ms));
    machine.scope_ended();
    REQUIRE(machine.wants_sweep());
    machine.swept();
    REQUIRE(machine.done());
    CHECK_FALSE(machine.outcome());
    const communicate_result result = machine.take();
    CHECK(result.out == "abc");
    CHECK(result.out_tee_error == std::errc::operation_canceled);
  }

  TEST_CASE("communicate_machine: pieces tell which stream was seen when") {
    setup streams = piped_all();
    streams.ordered = true;
    streams.started = at(-5ms);
    communicate_machine machine(streams);
    CHECK(machine.wants_time());
    REQUIRE_FALSE(machine.begin({}, never));
    const auto say = [&](std::chrono::milliseconds when, stream_id stream, std::string_view text) {
      machine.tell_time(at(when));
      machine.received(stream, text);
    };
    say(0ms, stream_id::out, "one ");
    say(1ms, stream_id::out, "one\n");
    say(10ms, stream_id::out, "near\n"); // 10 ms after the first of them
    say(11ms, stream_id::out, "late\n");
    say(11ms, stream_id::err, "two\n");
    say(11ms, stream_id::out, "three\n");
    finish(machine);
    const communicate_result result = machine.take();
    using enum output_stream;
    CHECK((result.pieces ==
           std::vector<output_piece>{
               {out, 0, 13, 5ms}, {out, 13, 5, 16ms}, {err, 0, 4, 16ms}, {out, 18, 6, 16ms}}));
    CHECK(result.ordered_text() == "one one\nnear\nlate\ntwo\nthree\n");
  }

  TEST_CASE("communicate_machine: pieces are of kept bytes alone, and few where many are dropped") {
    setup streams = piped_all();
    streams.ordered = true;
    streams.limit = {5, overflow::head};
    communicate_machine machine(streams);
    REQUIRE_FALSE(machine.begin({}, never));
    for (int i = 0; i < 1'000; ++i) {
      machine.tell_time(at(std::chrono::milliseconds(20 * i)));
      machine.received(stream_id::out, "abc");
      machine.received(stream_id::err, "d");
    }
    finish(machine);
    const communicate_result result = machine.take();
    CHECK(result.ordered_text() == "abcdabdddd");
    CHECK(result.pieces.size() == 7);
  }

  TEST_CASE("communicate_machine: silence ends a call, and each next one counts anew") {
    communicate_machine machine(quiet_after_10ms());
    machine.tell_time(at(0ms));
    REQUIRE_FALSE(machine.begin({}, never));
    close_in(machine);
    for (const auto begin : {0ms, 50ms}) {
      CHECK(machine.wakes_at() == at(begin + 10ms));
      machine.timer(at(begin + 9ms));
      CHECK_FALSE(machine.wants_sweep());
      machine.timer(at(begin + 10ms));
      REQUIRE(machine.wants_sweep());
      machine.swept();
      REQUIRE(machine.done());
      CHECK(machine.outcome() == errc::inactive);
      machine.tell_time(at(50ms));
      REQUIRE_FALSE(machine.begin({}, never));
    }
    machine.received(stream_id::out, "late");
    finish(machine);
    CHECK(machine.take().out == "late");
  }

  TEST_CASE("communicate_machine: a byte of any stream, or of the input, is activity") {
    for (int what = 0; what < 3; ++what) {
      communicate_machine machine(quiet_after_10ms());
      machine.tell_time(at(0ms));
      REQUIRE_FALSE(machine.begin("input", never));
      machine.tell_time(at(8ms));
      if (what == 0) {
        machine.wrote(1);
      } else {
        machine.received(what == 1 ? stream_id::out : stream_id::err, "x");
      }
      CHECK(machine.wakes_at() == at(10ms)); // the timer is not set anew with each byte
      machine.timer(at(10ms));
      CHECK_FALSE(machine.wants_sweep());
      CHECK(machine.wakes_at() == at(18ms));
      machine.timer(at(18ms));
      REQUIRE(machine.wants_sweep());
      machine.swept();
      CHECK(machine.outcome() == errc::inactive);
    }
  }

  TEST_CASE("communicate_machine: what the sweep finds is no silence, and an end is a success") {
    communicate_machine machine(quiet_after_10ms());
    machine.tell_time(at(0ms));
    REQUIRE_FALSE(machine.begin({}, never));
    close_in(machine);
    machine.timer(at(500ms));
    REQUIRE(machine.wants_sweep());
    CHECK(machine.wants_activity());
    machine.tell_time(at(501ms));
    machine.received(stream_id::out, "it was there");
    machine.swept();
    CHECK_FALSE(machine.done());
    CHECK(machine.wakes_at() == at(511ms));
    machine.timer(at(900ms));
    finish(machine);
    machine.swept();
    REQUIRE(machine.done());
    CHECK_FALSE(machine.outcome());
  }

  TEST_CASE("communicate_machine: a full sink stops the clock of the inactivity") {
    setup streams = quiet_after_10ms();
    streams.out_teed = true;
    communicate_machine machine(streams);
    machine.tell_time(at(0ms));
    REQUIRE_FALSE(machine.begin({}, never));
    machine.received(stream_id::out, "abc");
    machine.timer(at(10ms));
    CHECK_FALSE(machine.wants_sweep());
    CHECK(machine.wakes_at() == at(20ms));
    machine.timer(at(20ms));
    CHECK_FALSE(machine.wants_sweep());
    machine.tell_time(at(25ms));
    machine.passed(stream_id::out, 3);
    machine.timer(at(30ms));
    CHECK(machine.wakes_at() == at(35ms));
    machine.timer(at(35ms));
    machine.swept();
    CHECK(machine.outcome() == errc::inactive);
  }

  TEST_CASE("communicate_machine: of deadline and inactivity the one that is over is told") {
    for (const bool deadline_first : {false, true}) {
      communicate_machine machine(quiet_after_10ms());
      machine.tell_time(at(0ms));
      REQUIRE_FALSE(machine.begin({}, deadline_first ? at(5ms) : at(15ms)));
      CHECK(machine.wakes_at() == (deadline_first ? at(5ms) : at(10ms)));
      machine.timer(machine.wakes_at());
      machine.swept();
      CHECK(machine.outcome() ==
            (deadline_first ? error_code(asio::error::timed_out) : errc::inactive));
    }
  }
}

// A child, its pipes and a clock in one value, driven at random: what the machine wants may be done
// in any order and any portion, and calls end early in every way.
class world {
public:
  explicit world(unsigned seed) : random_(seed) {
    streams_.in = chance(70);
    streams_.out = chance(80);
    streams_.err = chance(60);
    if (chance(30)) {
      streams_.drain_timeout = std::chrono::milliseconds(below(40));
    }
    if (streams_.in && chance(80)) {
      input_ = bytes(below(400));
    }
    streams_.out_teed = streams_.out && chance(40);
    streams_.err_teed = streams_.err && chance(40);
    streams_.ordered = chance(30);
    if (chance(20)) {
      streams_.inactivity_timeout = std::chrono::milliseconds(1 + below(20));
    }
    says_[0] = bytes(below(600));
    says_[1] = bytes(below(300));
    reads_ = chance(70) ? input_.size() : below(input_.size() + 1);
    held_[0] = chance(20);
    held_[1] = chance(20);
    machine_.emplace(streams_);
  }

  std::size_t run() {
    std::string input = input_;
    for (;;) {
      const auto deadline = chance(40) ? now_ + std::chrono::milliseconds(below(30)) : never;
      machine_->tell_time(now_);
      REQUIRE_FALSE(machine_->begin(std::exchange(input, {}), deadline));
      while (!machine_->done()) {
        REQUIRE(++steps_ < 200'000);
        machine_->tell_time(now_);
        step(deadline);
      }
      REQUIRE((machine_->outcome() || !wants_anything(*machine_)));
      CHECK(machine_->wakes_at() == never);
      if (!machine_->outcome()) {
        return finish();
      }
      const communicate_result early = machine_->take();
      REQUIRE(early.out_held == given_[0]);
      REQUIRE(early.err_held == given_[1]);
      REQUIRE(machine_->view(stream_id::out) == std::string_view(says_[0]).substr(0, given_[0]));
      REQUIRE(machine_->view(stream_id::err) == std::string_view(says_[1]).substr(0, given_[1]));
    }
  }

private:
  std::size_t below(std::size_t n) {
    return n == 0 ? 0 : std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
  }
  bool chance(std::size_t percent) { return below(100) < percent; }

  std::string bytes(std::size_t n) {
    std::string text(n, '\0');
    for (char& c : text) {
      c = static_cast<char>(below(256));
    }
    return text;
  }

  bool said_all(int i) const { return given_[i] == says_[i].size(); }

  void step(steady_clock::time_point deadline) {
    // Progress: whatever state it is in, something is wanted or a time is waited for.
    REQUIRE((wants_anything(*machine_) || machine_->wakes_at() != never));
    if (machine_->wants_sweep()) {
      sweep();
      return;
    }
    switch (below(9)) {
    case 8:
      pass(static_cast<int>(below(2)));
      break;
    case 0:
    case 1:
      write();
      break;
    case 2:
    case 3:
      read(0);
      break;
    case 4:
      read(1);
      break;
    case 5:
      exit();
      break;
    case 6:
      if (machine_->wants_close_in()) {
        machine_->closed_in();
        in_closed_ = true;
      } else if (chance(3)) {
        machine_->cancel();
      }
      break;
    default:
      now_ += std::chrono::milliseconds(below(4));
      if (now_ >= machine_->wakes_at()) {
        REQUIRE((now_ >= deadline || exit_seen_ || streams_.inactivity_timeout));
        machine_->timer(now_);
      }
    }
  }

  void write() {
    const std::string_view rest = machine_->to_write();
    if (rest.empty()) {
      return;
    }
    REQUIRE(streams_.in);
    REQUIRE_FALSE(in_closed_);
    REQUIRE(rest == std::string_view(input_).substr(taken_.size()));
    if (child_gone_ || taken_.size() >= reads_) {
      if (reads_ < input_.size() || child_gone_) {
        machine_->write_failed(asio::error::broken_pipe);
        broken_ = true;
      }
      return;
    }
    const std::size_t n = 1 + below(std::min(rest.size(), reads_ - taken_.size()));
    taken_ += rest.substr(0, n);
    machine_->wrote(n);
  }

  void read(int i) {
    const stream_id stream = i == 0 ? stream_id::out : stream_id::err;
    if (!machine_->wants_read(stream)) {
      return;
    }
    REQUIRE((i == 0 ? streams_.out : streams_.err));
    REQUIRE_FALSE(ended_[i]);
    const std::size_t rest = says_[i].size() - given_[i];
    if (rest != 0) {
      const std::size_t n = 1 + below(rest);
      machine_->received(stream, std::string_view(says_[i]).substr(given_[i], n));
      given_[i] += n;
    } else if (child_gone_ && (!held_[i] || !streams_.drain_timeout)) {
      ended_[i] = true;
      machine_->ended(stream);
    }
  }

  void pass(int i) {
    const stream_id stream = i == 0 ? stream_id::out : stream_id::err;
    const std::string_view rest = machine_->to_pass(stream);
    if (rest.empty()) {
      return;
    }
    REQUIRE_FALSE(sink_broken_[i]);
    REQUIRE(rest == std::string_view(says_[i]).substr(passed_[i], given_[i] - passed_[i]));
    REQUIRE((machine_->wants_sweep() || !machine_->wants_read(stream))); // it is held back
    if (chance(2)) {
      sink_broken_[i] = true;
      machine_->pass_failed(stream, asio::error::broken_pipe);
    } else {
      const std::size_t n = 1 + below(rest.size());
      passed_[i] += n;
      machine_->passed(stream, n);
    }
  }

  void exit() {
    // A child that reads all its input ends after it has got the end of it.
    const bool fed = !streams_.in || in_closed_ || reads_ < input_.size();
    child_gone_ = child_gone_ || (fed && chance(30));
    if (child_gone_ && machine_->wants_exit()) {
      exit_seen_ = true;
      machine_->exited(ok, now_);
    }
  }

  void sweep() {
    if (child_gone_ || chance(30)) {
      child_gone_ = true;
      exit_seen_ = true;
      machine_->exited(ok, now_);
      for (int i = 0; i < 2; ++i) {
        const stream_id stream = i == 0 ? stream_id::out : stream_id::err;
        while (machine_->wants_read(stream) && (!said_all(i) || !held_[i])) {
          read(i);
        }
      }
    }
    machine_->swept();
  }

  std::size_t finish() {
    REQUIRE(exit_seen_);
    REQUIRE((!streams_.in || in_closed_));
    const communicate_result result = machine_->take();
    const bool held = (streams_.out && !ended_[0]) || (streams_.err && !ended_[1]);
    REQUIRE(result.pipes_held == held);
    REQUIRE((!held || streams_.drain_timeout.has_value()));
    REQUIRE(result.out == (streams_.out ? says_[0].substr(0, given_[0]) : std::string()));
    REQUIRE(result.err == (streams_.err ? says_[1].substr(0, given_[1]) : std::string()));
    for (int i = 0; i < 2; ++i) {
      REQUIRE((!ended_[i] || said_all(i)));
      const bool teed = i == 0 ? streams_.out_teed : streams_.err_teed;
      REQUIRE((!teed || sink_broken_[i] || passed_[i] == given_[i]));
      REQUIRE(static_cast<bool>(i == 0 ? result.out_tee_error : result.err_tee_error) ==
              sink_broken_[i]);
    }
    REQUIRE((!streams_.ordered || result.ordered_text().size() == given_[0] + given_[1]));
    std::size_t covered = 0;
    for (const output_piece& piece : result.pieces) {
      covered += piece.size;
    }
    REQUIRE(covered == (streams_.ordered ? given_[0] + given_[1] : 0));
    REQUIRE(taken_ == input_.substr(0, taken_.size()));
    REQUIRE((broken_ || child_gone_ || taken_.size() == input_.size()));
    REQUIRE(machine_->begin({}, never) ==
            (streams_.out || streams_.err ? make_error_code(errc::already_taken) : error_code()));
    return steps_;
  }

  std::mt19937 random_;
  setup streams_;
  std::optional<communicate_machine> machine_;
  std::string input_;
  std::string taken_;
  std::size_t reads_ = 0;
  std::string says_[2];
  std::size_t given_[2] = {0, 0};
  bool held_[2] = {false, false};
  bool ended_[2] = {false, false};
  std::size_t passed_[2] = {0, 0};
  bool sink_broken_[2] = {false, false};
  bool in_closed_ = false;
  bool broken_ = false;
  bool child_gone_ = false;
  bool exit_seen_ = false;
  steady_clock::time_point now_ = at(0ms);
  std::size_t steps_ = 0;
};

TEST_SUITE("communicate_machine") {
  TEST_CASE(
      "communicate_machine: in any order of events it ends, never too soon, and loses nothing") {
    std::size_t steps = 0;
    for (unsigned seed = 1; steps < 150'000; ++seed) {
      CAPTURE(seed);
      steps += world(seed).run();
    }
    CHECK(steps >= 150'000);
  }
}

} // namespace
