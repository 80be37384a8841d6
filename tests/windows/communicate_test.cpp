#include <subproc/process.hpp>

#include "../../src/platform.hpp"
#include "support.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>

#include <thread>

using namespace subproc;
using namespace subproc::test;

namespace {

constexpr std::size_t large = 4 * 1024 * 1024;

std::string bytes(std::size_t size) {
  std::string made(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    made[i] = static_cast<char>(i % 251);
  }
  return made;
}

/// A child that gives 300,000 bytes before and after a byte comes by a pipe of the test's own.
struct held_child {
  held_child()
      : ends(make_plain_pipe()), reader(ends.reader), writer(ends.writer),
        child(context, command(helper("steps"), "out:300000", "byte:0", "out:300000")
                           .in(fd(reader.get()))
                           .out(piped)) {}

  void let_go() { writer.reset(); }

  asio::io_context context;
  plain_pipe ends;
  unique_handle reader;
  unique_handle writer;
  process child;
};

} // namespace

TEST_SUITE("windows: communicate") {
  TEST_CASE("windows: 4 MiB go in and come out at once, blocking and on the loop") {
    const std::string input = bytes(large);
    asio::io_context context;
    process blocking(context, command(helper("steps"), "echo").in(piped).out(piped));
    CHECK(blocking.communicate(input).out == input);
    process child(context, command(helper("steps"), "echo").in(piped).out(piped));
    communicate_result got;
    error_code failed;
    child.async_communicate(input, [&](error_code ec, communicate_result result) {
      failed = ec;
      got = std::move(result);
    });
    context.run();
    CHECK_FALSE(failed);
    CHECK(got.out == input);
    CHECK(got.status == exit_status::from_code(0));
  }

  TEST_CASE("windows: after a time-out the next communicate goes on and no byte is lost") {
    const std::string all = bytes(300'000) + bytes(300'000);
    held_child held;
    SUBCASE("blocking") {
      CHECK_THROWS_AS(held.child.communicate({}, std::chrono::milliseconds(50)), timeout_expired);
      CHECK_THROWS_AS(held.child.communicate({}, std::chrono::milliseconds(50)), timeout_expired);
      held.let_go();
      CHECK(held.child.communicate().out == all);
    }
    SUBCASE("on the loop") {
      held.child.async_communicate(
          {}, std::chrono::milliseconds(50),
          [](error_code ec, const communicate_result&) { CHECK(ec == asio::error::timed_out); });
      held.context.run();
      held.let_go();
      communicate_result got;
      held.child.async_communicate([&](error_code ec, communicate_result result) {
        CHECK_FALSE(ec);
        got = std::move(result);
      });
      held.context.restart();
      held.context.run();
      CHECK(got.out == all);
    }
    SUBCASE("first on the loop, then blocking") {
      held.child.async_communicate(
          {}, std::chrono::milliseconds(50),
          [](error_code ec, const communicate_result&) { CHECK(ec == asio::error::timed_out); });
      held.context.run();
      held.let_go();
      CHECK(held.child.communicate().out == all);
    }
  }

  TEST_CASE("windows: a cancelled communicate goes on and no byte is lost") {
    held_child held;
    asio::cancellation_signal signal;
    error_code first;
    held.child.async_communicate(asio::bind_cancellation_slot(
        signal.slot(), [&](error_code ec, const communicate_result&) { first = ec; }));
    asio::post(held.context, [&] { signal.emit(asio::cancellation_type::all); });
    held.context.run();
    CHECK(first == asio::error::operation_aborted);
    held.let_go();
    communicate_result got;
    held.child.async_communicate([&](error_code ec, communicate_result result) {
      CHECK_FALSE(ec);
      got = std::move(result);
    });
    held.context.restart();
    held.context.run();
    CHECK(got.out == bytes(300'000) + bytes(300'000));
  }

  TEST_CASE("windows: a cancelled read loses no byte") {
    asio::io_context context;
    process child(context, command(helper("steps"), "byte:0", "say:hello").in(piped).out(piped));
    char buffer[16];
    asio::cancellation_signal signal;
    error_code ended;
    child.out().async_read_some(
        asio::buffer(buffer),
        asio::bind_cancellation_slot(signal.slot(), [&](error_code ec, std::size_t n) {
          ended = ec;
          CHECK(n == 0);
        }));
    asio::post(context, [&] { signal.emit(asio::cancellation_type::all); });
    context.run();
    CHECK(ended == asio::error::operation_aborted);
    child.in().close();
    CHECK(child.out().read_line() == "hello");
  }

  TEST_CASE("windows: the end of a stream and a pipe that nobody reads are told as on POSIX") {
    asio::io_context context;
    process child(context,
                  command(helper("steps"), "close:0", "say:x", "byte:3").in(piped).out(piped));
    CHECK(child.out().read_line() == "x");
    error_code ec;
    const std::string block(100'000, 'x');
    while (!ec) { // what the pipe takes before the child's end is known to be closed
      child.in().write_some(asio::buffer(block), ec);
    }
    CHECK(ec == asio::error::broken_pipe);
    char byte = 0;
    CHECK(child.out().read_some(asio::buffer(&byte, 1), ec) == 0);
    CHECK(ec == asio::error::eof);
  }

  TEST_CASE(
      "windows: bytes that were taken reach the child, though the writer's thread and the pipe "
      "have gone") {
    asio::io_context context;
    process child(context, command(helper("steps"), "count").in(piped).out(piped));
    std::size_t taken = 0;
    std::thread([&] {
      const std::string block(1'000'000, 'x');
      taken = child.in().write_some(asio::buffer(block));
    }).join();
    child.in().close();
    const communicate_result got = child.communicate();
    CHECK(taken > 0);
    CHECK(got.out == std::to_string(taken));
  }

  TEST_CASE("windows: a pipe's end that is under way on a loop serves a blocking call next") {
    asio::io_context context;
    process child(context, command(helper("steps"), "echo").in(piped).out(piped));
    char byte = 0;
    asio::cancellation_signal signal;
    child.out().async_read_some(
        asio::buffer(&byte, 1),
        asio::bind_cancellation_slot(signal.slot(), [](error_code, std::size_t) {}));
    signal.emit(asio::cancellation_type::all);
    context.run();
    child.in().write_some(asio::buffer("a", 1));
    CHECK(child.out().read_some(asio::buffer(&byte, 1)) == 1);
    CHECK(byte == 'a');
    child.in().close();
    CHECK(child.wait() == exit_status::from_code(0));
  }
}
