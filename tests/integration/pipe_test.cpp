#include <subproc/process.hpp>

#include "children.hpp"
#include "ended.hpp"
#include "line_reading.hpp"
#include "moved.hpp"
#include "platform.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/read.hpp>
#include <asio/read_until.hpp>
#include <asio/streambuf.hpp>
#include <asio/write.hpp>
#include <doctest/doctest.h>

#include <array>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace subproc;
using namespace subproc::test;
using namespace std::chrono_literals;

TEST_SUITE("pipe") {

  TEST_CASE("pipe: Asio's composed reads and writes work on the streams [K24]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"echo"}).in(piped).out(piped));
    const std::string sent = "first line\nsecond\nrest";
    moved written;
    asio::async_write(child.in(), asio::buffer(sent), written.handler());
    std::string received;
    moved line;
    asio::async_read_until(child.out(), asio::dynamic_buffer(received), '\n', line.handler());
    run(context);
    CHECK(written.bytes == sent.size());
    CHECK(line.ec == error_code());
    CHECK(received.substr(0, line.bytes) == "first line\n");

    child.in().close();
    moved rest;
    asio::async_read(child.out(), asio::dynamic_buffer(received), rest.handler());
    run(context);
    CHECK(rest.ec == asio::error::eof);
    CHECK(received == sent);
    CHECK(child.wait().success());
  }

  TEST_CASE("pipe: Asio's blocking reads and writes work on the streams") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"echo"}).in(piped).out(piped));
    CHECK(asio::write(child.in(), asio::buffer("abc\ndef", 7)) == 7);
    asio::streambuf buffer;
    CHECK(asio::read_until(child.out(), buffer, '\n') == 4);
    child.in().close();
    error_code ec;
    asio::read(child.out(), buffer, ec);
    CHECK(ec == asio::error::eof);
    CHECK(buffer.size() == 7);
    std::array<char, 4> more;
    CHECK(child.out().read_some(asio::buffer(more), ec) == 0);
    CHECK(ec == asio::error::eof);
    CHECK_THROWS_AS(child.out().read_some(asio::buffer(more)), system_error);
  }

  TEST_CASE("pipe: a stream that is not piped is a closed one") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"exit:0"}));
    CHECK_FALSE(child.in().is_open());
    CHECK_FALSE(child.out().is_open());
    CHECK(child.err().native_handle() == detail::invalid_handle);
    std::array<char, 4> buffer;
    moved read;
    moved write;
    child.out().async_read_some(asio::buffer(buffer), read.handler());
    child.in().async_write_some(asio::buffer("x", 1), write.handler());
    CHECK(read.calls + write.calls == 0);
    run(context);
    CHECK(read.ec == asio::error::bad_descriptor);
    CHECK(write.ec == asio::error::bad_descriptor);
    error_code ec;
    CHECK(child.err().read_some(asio::buffer(buffer), ec) == 0);
    CHECK(ec == asio::error::bad_descriptor);
    CHECK_NOTHROW(child.out().close());
    CHECK_NOTHROW(child.out().cancel());
    CHECK_FALSE(child.out().release());
  }

  TEST_CASE("pipe: a cancelled read has taken no byte") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1", "say:kept"}).in(piped).out(piped));
    for (const asio::cancellation_type type :
         {asio::cancellation_type::terminal, asio::cancellation_type::partial,
          asio::cancellation_type::total}) {
      std::array<char, 16> buffer{};
      asio::cancellation_signal signal;
      moved read;
      child.out().async_read_some(asio::buffer(buffer),
                                  asio::bind_cancellation_slot(signal.slot(), read.handler()));
      context.restart();
      context.poll();
      CHECK(read.calls == 0);
      signal.emit(asio::cancellation_type::none);
      context.poll();
      CHECK(read.calls == 0);
      signal.emit(type);
      CHECK(read.calls == 0); // not from inside emit
      context.run();
      CHECK(read.calls == 1);
      CHECK(read.ec == asio::error::operation_aborted);
      CHECK(read.bytes == 0);
    }
    // Cancelled when the bytes are there and the loop has not looked yet.
    std::array<char, 16> buffer{};
    asio::cancellation_signal signal;
    moved read;
    child.out().async_read_some(asio::buffer(buffer),
                                asio::bind_cancellation_slot(signal.slot(), read.handler()));
    child.in().close();
    REQUIRE(has_ended(child));
    signal.emit(asio::cancellation_type::total);
    run(context);
    CHECK(read.ec == asio::error::operation_aborted);
    CHECK(child.out().read_some(asio::buffer(buffer)) == 5);
    CHECK(std::string(buffer.data(), 5) == "kept\n");
    CHECK(child.wait().success());
  }

  TEST_CASE("pipe: cancel, close and release end the pending operations") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1"}).in(piped).out(piped).err(piped));
    std::array<char, 16> buffer;
    moved cancelled;
    moved closed;
    child.out().async_read_some(asio::buffer(buffer), cancelled.handler());
    child.err().async_read_some(asio::buffer(buffer), closed.handler());
    context.poll();
    child.out().cancel();
    child.err().close();
    CHECK(cancelled.calls + closed.calls == 0);
    run(context);
    CHECK(cancelled.ec == asio::error::operation_aborted);
    CHECK(closed.ec == asio::error::operation_aborted);
    CHECK(child.out().is_open());
    CHECK_FALSE(child.err().is_open());

    moved released;
    child.out().async_read_some(asio::buffer(buffer), released.handler());
    unique_handle mine = child.out().release();
    run(context);
    CHECK(released.ec == asio::error::operation_aborted);
    CHECK_FALSE(child.out().is_open());
    REQUIRE(mine);
    child.in().close();
    CHECK(child.wait().success());
    CHECK(read_once(mine.get()).empty());
  }

  TEST_CASE("pipe: a second read, write or communicate is refused and disturbs nothing") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"echo"}).in(piped).out(piped));
    std::array<char, 16> buffer;
    std::array<char, 16> other;
    moved first;
    moved second;
    child.out().async_read_some(asio::buffer(buffer), first.handler());
    child.out().async_read_some(asio::buffer(other), second.handler());
    error_code communicated;
    child.async_communicate([&](error_code ec, communicate_result) { communicated = ec; });
    context.poll();
    CHECK(second.ec == errc::operation_pending);
    CHECK(communicated == errc::operation_pending);
    CHECK(first.calls == 0);
    error_code ec;
    CHECK(child.out().read_some(asio::buffer(other), ec) == 0);
    CHECK(ec == errc::operation_pending);
    CHECK_THROWS_AS(child.communicate(), system_error);

    child.in().write_some(asio::buffer("hello", 5)); // the other stream is free
    run(context);
    CHECK(first.bytes == 5);
    child.in().close();
    CHECK(child.wait().success());
  }

  TEST_CASE("pipe: empty and scattered buffers") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"echo"}).in(piped).out(piped));
    moved empty_read;
    moved empty_write;
    child.out().async_read_some(asio::mutable_buffer(), empty_read.handler());
    child.in().async_write_some(asio::const_buffer(), empty_write.handler());
    CHECK(empty_read.calls == 0);
    run(context);
    CHECK(empty_read.calls == 1);
    CHECK(empty_read.ec == error_code());
    CHECK(empty_write.ec == error_code());
    error_code ec;
    CHECK(child.out().read_some(asio::mutable_buffer(), ec) == 0);
    CHECK(ec == error_code());

    const std::array<asio::const_buffer, 3> parts{asio::const_buffer(), asio::buffer("ab", 2),
                                                  asio::buffer("cd", 2)};
    CHECK(asio::write(child.in(), parts) == 4);
    std::array<char, 2> one;
    std::array<char, 2> two;
    const std::array<asio::mutable_buffer, 3> places{asio::buffer(one), asio::mutable_buffer(),
                                                     asio::buffer(two)};
    CHECK(asio::read(child.out(), places) == 4);
    CHECK(std::string(one.data(), 2) + std::string(two.data(), 2) == "abcd");
  }

  TEST_CASE("pipe: reads and a write of all three streams are pending at once") {
    const leak_check leaks;
    asio::io_context context;
    process child(context,
                  steps({"out:200000", "err:200000", "count"}).in(piped).out(piped).err(piped));
    const std::string input(300'000, 'i');
    std::string out;
    std::string err;
    moved written;
    moved out_end;
    moved err_end;
    asio::async_write(child.in(), asio::buffer(input), [&](error_code ec, std::size_t n) {
      written.handler()(ec, n);
      child.in().close();
    });
    asio::async_read(child.out(), asio::dynamic_buffer(out), out_end.handler());
    asio::async_read(child.err(), asio::dynamic_buffer(err), err_end.handler());
    run(context);
    CHECK(written.bytes == input.size());
    CHECK(out == pattern(200'000) + "300000");
    CHECK(err == pattern(200'000));
    CHECK(out_end.ec == asio::error::eof);
    CHECK(err_end.ec == asio::error::eof);
  }

  TEST_CASE("pipe: what was written before the exit is read after it [T39]") {
    if (excused_without(feature::pipe_size, "it needs a pipe of another size")) {
      return;
    }
    const leak_check leaks;
    asio::io_context context;
    constexpr std::size_t size = 1 << 19; // a pipe keeps whole pages: it holds less than its size
    process child(context, steps({"out:" + std::to_string(size)}).out(piped).pipe_size(2 * size));
    REQUIRE(child.wait().success());
    std::string text;
    moved read;
    SUBCASE("on the loop") {
      asio::async_read(child.out(), asio::dynamic_buffer(text), read.handler());
      run(context);
      CHECK(read.ec == asio::error::eof);
    }
    SUBCASE("blocking") {
      asio::read(child.out(), asio::dynamic_buffer(text), read.ec);
      CHECK(read.ec == asio::error::eof);
    }
    CHECK(text == pattern(size));
  }

  TEST_CASE("pipe: a blocking read in one thread and a write in another serve each other") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"echo"}).in(piped).out(piped));
    const std::string sent = pattern(500'000);
    std::thread writer([&] {
      asio::write(child.in(), asio::buffer(sent));
      child.in().close();
    });
    std::string received;
    error_code ec;
    asio::read(child.out(), asio::dynamic_buffer(received), ec);
    writer.join();
    CHECK(ec == asio::error::eof);
    CHECK(received.size() == sent.size());
    const auto differs = std::mismatch(received.begin(), received.end(), sent.begin(), sent.end());
    CHECK(differs.first - received.begin() == 500'000);
    CHECK(received == sent);
  }

  TEST_CASE("pipe: a handler runs on its own executor, whether its result was there or not") {
    const leak_check leaks;
    asio::io_context of_process;
    asio::io_context of_handler;
    process child(of_process, steps({"echo"}).in(piped).out(piped));
    asio::write(child.in(), asio::buffer("one\ntwo\nthree\n", 14));
    CHECK(child.out().read_line() == "one");
    REQUIRE(child.out().buffered() == "two\nthree\n");

    std::vector<std::string> lines;
    const std::string tag(100, 't');
    // An lvalue is copied, so that it may be given again.
    auto handler = asio::bind_executor(of_handler, [&, tag](error_code ec, std::string line) {
      CHECK(of_handler.get_executor().running_in_this_thread());
      CHECK(ec == error_code());
      CHECK(tag == std::string(100, 't'));
      lines.push_back(std::move(line));
    });
    for (const char* const there : {"two", "three"}) {
      child.out().async_read_line(handler);
      CHECK(of_process.poll() == 0);
      of_handler.restart();
      CHECK(of_handler.poll() == 1);
      CHECK(lines.back() == there);
    }

    child.out().async_read_line(handler);
    of_process.restart();
    of_handler.restart();
    of_handler.poll();
    CHECK_FALSE(of_handler.stopped()); // it has work
    asio::write(child.in(), asio::buffer("four\n", 5));
    std::thread thread([&] { of_process.run(); });
    of_handler.run();
    thread.join();
    CHECK(lines == std::vector<std::string>{"two", "three", "four"});
  }

} // TEST_SUITE
