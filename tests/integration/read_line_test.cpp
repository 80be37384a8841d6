#include <subproc/process.hpp>

#include "line_reading.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/read.hpp>

#include <algorithm>
#include <array>

using namespace subproc;
using namespace subproc::test;
using namespace std::chrono_literals;

namespace {

// The way of reading one text that a case is run with.
struct reader {
  asio::io_context& context;
  bool blocking;

  text_result line(readable_pipe& pipe, std::size_t limit = default_line_limit) const {
    text_result got;
    if (blocking) {
      got.text = pipe.read_line(limit, got.ec);
    } else {
      pipe.async_read_line(limit, got.handler());
      CHECK(got.calls == 0);
      run(context);
      CHECK(got.calls == 1);
    }
    return got;
  }

  text_result until(readable_pipe& pipe, const std::string& delimiter,
                    std::size_t limit = default_line_limit) const {
    text_result got;
    if (blocking) {
      got.text = pipe.read_until(delimiter, limit, got.ec);
    } else {
      pipe.async_read_until(delimiter, limit, got.handler());
      run(context);
    }
    return got;
  }

  line_piece piece(readable_pipe& pipe, std::size_t limit, error_code& ec) const {
    if (blocking) {
      return pipe.read_line_piece(limit, ec);
    }
    line_piece piece;
    pipe.async_read_line_piece(limit, [&](error_code e, line_piece p) {
      ec = e;
      piece = std::move(p);
    });
    run(context);
    return piece;
  }
};

} // namespace

TEST_SUITE("read_line") {

  TEST_CASE("read_line: the last line needs no end, then comes the end of the file [T43] [K46]") {
    const leak_check leaks;
    asio::io_context context;
    for (const bool blocking : {false, true}) {
      const reader read{context, blocking};
      process child(context, prints("1\r\n2\r3\n\n\r\n4"));
      for (const char* expected : {"1", "2\r3", "", "", "4"}) {
        const text_result got = read.line(child.out());
        CHECK(got.ec == error_code());
        CHECK(got.text == expected);
      }
      for (int again = 0; again < 2; ++again) {
        const text_result got = read.line(child.out());
        CHECK(got.ec == asio::error::eof);
        CHECK(got.text.empty());
      }
      CHECK(child.wait().success());
    }
  }

  TEST_CASE("read_line: the blocking form throws, at the end of the file too") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, prints("a\nlonger\nb;rest"));
    CHECK(child.out().read_line() == "a");
    CHECK_THROWS_AS(child.out().read_line(3), system_error);
    CHECK(child.out().read_line_piece(4).goes_on);
    CHECK(child.out().read_line() == "er");
    CHECK(child.out().read_until(";") == "b;");
    CHECK_THROWS_AS(child.out().read_until(";"), system_error);
    CHECK(child.out().read_line() == "rest");
    CHECK_THROWS_AS(child.out().read_line(), system_error);
  }

  TEST_CASE("read_line: bytes are bytes, NUL and invalid UTF-8 too [T43]") {
    const leak_check leaks;
    asio::io_context context;
    std::string all;
    for (int byte = 0; byte < 256; ++byte) {
      all += static_cast<char>(byte);
    }
    const std::string invalid("\xff\xfe\0\xc3\x28\xed\xa0\x80\0", 9);
    echo sent(context);
    sent.say(all + "\n" + invalid + "\n");
    sent.child.in().close();
    const reader read{context, false};
    CHECK(read.line(sent.child.out()).text == all.substr(0, 10));
    CHECK(read.line(sent.child.out()).text == all.substr(11));
    CHECK(read.line(sent.child.out()).text == invalid);
    CHECK(read.line(sent.child.out()).ec == asio::error::eof);
  }

  TEST_CASE("read_line: an end that comes in two parts is one end [T43]") {
    const leak_check leaks;
    asio::io_context context;
    echo sent(context);
    readable_pipe& out = sent.child.out();
    text_result got;
    out.async_read_line(got.handler());
    sent.say("ab\r");
    while (out.buffered() != "ab\r") {
      context.restart();
      context.run_one();
    }
    CHECK(got.calls == 0);
    sent.say("\ncd\r");
    run(context);
    CHECK(got.text == "ab");

    // The limit waits for what the return turns out to be.
    out.async_read_line(2, got.handler());
    poll(context);
    CHECK(got.calls == 1);
    sent.say("e\n");
    run(context);
    CHECK(got.ec == asio::error::not_found);
    CHECK(out.read_line(4) == "cd\re");
  }

  TEST_CASE("read_line: a line over the limit is an error that loses nothing and stalls nothing") {
    const leak_check leaks;
    asio::io_context context;
    for (const bool blocking : {false, true}) {
      const reader read{context, blocking};
      process child(context, prints("12345\n123456\r\nlast."));
      readable_pipe& out = child.out();
      CHECK(read.line(out, 5).text == "12345");
      for (int again = 0; again < 2; ++again) {
        const text_result got = read.line(out, 5);
        CHECK(got.ec == asio::error::not_found);
        CHECK(got.text.empty());
      }
      CHECK(out.buffered().substr(0, 8) == "123456\r\n");
      CHECK(read.line(out, 6).text == "123456");
      CHECK(read.line(out, 4).ec == asio::error::not_found);
      std::array<char, 3> some;
      CHECK(out.read_some(asio::buffer(some)) == 3);
      CHECK(std::string(some.data(), 3) == "las");
      CHECK(read.line(out, 4).text == "t.");
      CHECK(read.line(out, 4).ec == asio::error::eof);
      CHECK(child.wait().success());
    }
  }

  TEST_CASE("read_line: in pieces a line is whole once they are put together") {
    const leak_check leaks;
    asio::io_context context;
    for (const bool blocking : {false, true}) {
      const reader read{context, blocking};
      process child(context, prints("12345\r\n123456\n\n1234567"));
      std::string got;
      error_code ec;
      for (;;) {
        const line_piece piece = read.piece(child.out(), 5, ec);
        if (ec) {
          break;
        }
        got += piece.text + (piece.goes_on ? "+" : "|");
      }
      CHECK(ec == asio::error::eof);
      CHECK(got == "12345|12345+6||12345+67|");
      read.piece(child.out(), 0, ec);
      CHECK(ec == std::errc::invalid_argument);
    }
  }

  TEST_CASE("read_line: 64 MiB without an end pass in bounded memory, or whole [T43]") {
    const leak_check leaks;
    const watchdog limit; // searched anew with each part it would take far longer
    asio::io_context context;
    constexpr std::size_t size = 64 << 20;
    process child(context, steps({"zeros:" + std::to_string(size)}).out(piped));
    readable_pipe& out = child.out();
    std::size_t most = 0;
    std::size_t total = 0;

    for (int again = 0; again < 3; ++again) { // it does not even read
      CHECK(reader{context, false}.line(out).ec == asio::error::not_found);
      CHECK(out.buffered().size() <= default_line_limit + 1 + one_read);
    }
    error_code ec;
    for (bool blocking = false; total < size / 2; blocking = !blocking) {
      const line_piece piece = reader{context, blocking}.piece(out, default_line_limit, ec);
      REQUIRE(ec == error_code());
      REQUIRE(piece.goes_on);
      REQUIRE(piece.text.size() == default_line_limit);
      total += piece.text.size();
      most = std::max(most, out.buffered().size());
    }
    CHECK(most <= default_line_limit + 1 + one_read);
    const text_result whole = reader{context, false}.line(out, no_limit);
    CHECK(whole.ec == error_code());
    CHECK(whole.text.size() == size - total);
    CHECK(whole.text.find_first_not_of('\0') == std::string::npos);
    CHECK(reader{context, true}.line(out).ec == asio::error::eof);
    CHECK(child.wait().success());
  }

  TEST_CASE("read_line: a text goes up to its delimiter, at the end of the file to what is left") {
    const leak_check leaks;
    asio::io_context context;
    for (const bool blocking : {false, true}) {
      const reader read{context, blocking};
      process child(context, prints("one--two-three--four-"));
      readable_pipe& out = child.out();
      CHECK(read.until(out, "--").text == "one--");
      CHECK(read.until(out, "--", 8).ec == asio::error::not_found);
      CHECK(read.until(out, "--", 9).text == "two-three--");
      for (int again = 0; again < 2; ++again) { // an error takes nothing
        const text_result rest = read.until(out, "--");
        CHECK(rest.ec == asio::error::eof);
        CHECK(rest.text == "four-");
        CHECK(out.buffered() == "four-");
      }
      CHECK(read.until(out, "").ec == std::errc::invalid_argument);
      CHECK(read.line(out).text == "four-");
      CHECK(read.until(out, "--").text.empty());
    }
  }

  TEST_CASE("read_line: a delimiter that arrives byte by byte is found") {
    const leak_check leaks;
    asio::io_context context;
    echo sent(context);
    readable_pipe& out = sent.child.out();
    text_result got;
    out.async_read_until("abab!", got.handler());
    std::string held;
    for (const char byte : std::string("xababab!")) {
      sent.say({&byte, 1});
      held += byte;
      while (got.calls == 0 && out.buffered() != held) {
        context.restart();
        context.run_one();
      }
    }
    CHECK(got.ec == error_code());
    CHECK(got.text == "xababab!");
  }

  TEST_CASE("read_line: what was read ahead comes first, whoever reads next [C54]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, prints("line\nrest of it"));
    readable_pipe& out = child.out();
    CHECK(reader{context, false}.line(out).text == "line");
    CHECK(out.buffered() == "rest of it");
    std::array<char, 4> buffer;
    std::size_t n = 0;
    out.async_read_some(asio::buffer(buffer), [&](error_code, std::size_t bytes) { n = bytes; });
    run(context);
    CHECK(std::string(buffer.data(), n) == "rest");
    n = out.read_some(asio::buffer(buffer));
    CHECK(std::string(buffer.data(), n) == " of ");
    CHECK(out.buffered() == "it");
    std::string rest;
    error_code ec;
    asio::read(out, asio::dynamic_buffer(rest), ec);
    CHECK(rest == "it");
    CHECK(ec == asio::error::eof);
  }

  TEST_CASE("read_line: a read of bytes hides nothing from poll, one of lines tells it [K103]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, prints("abcdef\nrest"));
    REQUIRE(child.wait().success());
    std::array<char, 2> two;
    CHECK(child.out().read_some(asio::buffer(two)) == 2);
    CHECK(has_bytes(child.out().native_handle()));
    CHECK(child.out().buffered().empty());
    CHECK(child.out().read_line() == "cdef");
    CHECK(child.out().buffered() == "rest");
  }

  TEST_CASE("read_line: communicate gives what was read ahead and the rest [K148] [C54]") {
    const leak_check leaks;
    asio::io_context context;
    for (const bool blocking : {false, true}) {
      test_pipe gate;
      process child(context, with_descriptors(steps({"say:first", "say:second", "warn:w1",
                                                     "warn:w2", "byte:9", "say:third", "warn:w3"}),
                                              {{9, gate.read_end.get()}})
                                 .out(piped)
                                 .err(piped));
      const reader read{context, blocking};
      // A time-out in between changes nothing.
      CHECK(read.line(child.out()).text == "first");
      CHECK(read.line(child.err()).text == "w1");
      CHECK_THROWS_AS(child.communicate("", 0s), timeout_expired);
      CHECK(child.captured().out.substr(0, 7) == "second\n");
      gate.write_end.reset();
      communicate_result result;
      if (blocking) {
        result = child.communicate("");
      } else {
        child.async_communicate([&](error_code ec, communicate_result r) {
          CHECK(ec == error_code());
          result = std::move(r);
        });
        run(context);
      }
      CHECK(result.out == "second\nthird\n");
      CHECK(result.err == "w2\nw3\n");
    }
  }

  TEST_CASE("read_line: two of six bytes read by hand, communicate gives the other four [K148]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, prints("abcdef"));
    std::array<char, 2> two;
    CHECK(child.out().read_some(asio::buffer(two)) == 2);
    CHECK(child.communicate().out == "cdef");
  }

  TEST_CASE("read_line: the limit of a capture counts what was read ahead") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, prints("a\n12345").limit(4));
    CHECK(child.out().read_line() == "a");
    CHECK_THROWS_AS(child.communicate(), system_error);
    CHECK(child.captured().out == "12345");
    CHECK(child.communicate().out == "12345");
  }

  TEST_CASE("read_line: a cancelled read has lost no byte") {
    const leak_check leaks;
    asio::io_context context;
    echo sent(context);
    readable_pipe& out = sent.child.out();
    sent.say("begun ");
    for (const asio::cancellation_type type :
         {asio::cancellation_type::terminal, asio::cancellation_type::partial,
          asio::cancellation_type::total}) {
      for (const bool until : {false, true}) {
        asio::cancellation_signal signal;
        text_result got;
        auto handler = asio::bind_cancellation_slot(signal.slot(), got.handler());
        if (until) {
          out.async_read_until("\n", std::move(handler));
        } else {
          out.async_read_line(std::move(handler));
        }
        poll(context);
        CHECK(out.buffered() == "begun ");
        signal.emit(type);
        CHECK(got.calls == 0); // not from inside emit
        run(context);
        CHECK(got.calls == 1);
        CHECK(got.ec == asio::error::operation_aborted);
      }
    }
    // Cancelled when the rest is there and the loop has not looked yet.
    asio::cancellation_signal signal;
    text_result got;
    out.async_read_line(asio::bind_cancellation_slot(signal.slot(), got.handler()));
    poll(context);
    sent.say("and ended\nmore");
    signal.emit(asio::cancellation_type::total);
    run(context);
    CHECK(got.ec == asio::error::operation_aborted);
    out.async_read_line(got.handler());
    out.cancel(); // too late: the bytes were there
    run(context);
    CHECK(got.text == "begun and ended");
    sent.child.in().close();
    CHECK(out.read_line() == "more");
  }

  TEST_CASE("read_line: closing ends a read and drops, releasing keeps what was read ahead") {
    const leak_check leaks;
    asio::io_context context;
    process child(
        context,
        steps({"print:a\nb", "eprint:c\nd", "read:1", "warn:f"}).in(piped).out(piped).err(piped));
    CHECK(child.out().read_line() == "a");
    CHECK(child.err().read_line() == "c");
    text_result closed;
    text_result released;
    child.out().async_read_line(closed.handler());
    child.err().async_read_line(released.handler());
    poll(context);
    CHECK(child.out().buffered() == "b");
    CHECK(child.err().buffered() == "d");
    child.out().close();
    const unique_handle mine = child.err().release();
    run(context);
    CHECK(closed.ec == asio::error::operation_aborted);
    CHECK(released.ec == asio::error::operation_aborted);
    CHECK(child.out().buffered().empty());
    CHECK(child.err().buffered() == "d");
    error_code ec;
    child.err().read_line(ec);
    CHECK(ec == asio::error::bad_descriptor);
    asio::write(child.in(), asio::buffer("\n", 1));
    REQUIRE(readable(mine.get()));
    CHECK(read_once(mine.get()) == "f\n");
    child.wait();
  }

} // TEST_SUITE
