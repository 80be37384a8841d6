// ordered_output: the sequence in which the bytes of both streams were seen.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "both_ways.hpp"
#include "children.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

// Each piece follows the one before in its stream, and together they are all of it.
template <class Result>
void check_cover(const Result& result) {
  std::array<std::uint64_t, 2> ends{};
  std::chrono::nanoseconds last{};
  for (const output_piece& piece : result.pieces) {
    std::uint64_t& end = ends[piece.stream == output_stream::err];
    REQUIRE(piece.offset == end);
    REQUIRE(piece.size != 0);
    REQUIRE(piece.time >= last);
    end += piece.size;
    last = piece.time;
  }
  CHECK(ends[0] == result.out.size());
  CHECK(ends[1] == result.err.size());
}

} // namespace

TEST_SUITE("ordered_output") {

  TEST_CASE("ordered_output: a child in step with us is seen in the order in which it wrote") {
    const leak_check leaks;
    const watchdog guard;
    constexpr int rounds = times(200);
    std::vector<std::string> what;
    std::string order;
    std::string tagged;
    for (int i = 0; i < rounds; ++i) {
      const std::string number = std::to_string(i);
      what.insert(what.end(), {"say:" + number, "byte:9", "warn:" + number, "byte:9"});
      order += number + '\n' + number + '\n';
      tagged += "out " + number + "\nERR " + number + '\n';
    }
    in_both_ways([&](asio::io_context& context, way how) {
      test_pipe gate;
      process child(context, with_descriptors(steps(what), {{9, gate.read_end.get()}})
                                 .out(piped)
                                 .err(piped)
                                 .ordered_output());
      // It goes on when what it wrote last was seen.
      std::thread acknowledge([&] {
        std::size_t seen = 0;
        for (int i = 0; i < 2 * rounds; ++i) {
          seen += std::to_string(i / 2).size() + 1;
          const bool came = eventually([&] {
            const captured_view held = child.captured();
            return held.out.size() + held.err.size() == seen;
          });
          if (!came || !write_byte(gate)) {
            break;
          }
        }
      });
      const outcome done = communicate(context, child, how);
      acknowledge.join();
      CHECK_FALSE(done.ec);
      check_cover(done.result);
      CHECK(done.result.pieces.size() == 2 * rounds);
      CHECK(done.result.ordered_text() == order);
      CHECK(done.result.ordered_text("out ", "ERR ") == tagged);
      CHECK(done.result.pieces.front().time > 0ns);
    });
  }

  TEST_CASE("ordered_output: merged streams are one, in the order in which they were written") {
    const leak_check leaks;
    const completed_process done =
        run(steps({"say:1", "warn:2", "say:3", "warn:4"}).out(piped).err(merge).ordered_output());
    check_cover(done);
    CHECK(done.ordered_text() == "1\n2\n3\n4\n");
    CHECK(done.pieces.back().time <= done.elapsed);
  }

  TEST_CASE("ordered_output: a flood is few pieces") {
    const leak_check leaks;
    constexpr std::size_t size = sanitized ? 20'000'000 : 200'000'000;
    in_both_ways([](asio::io_context& context, way how) {
      process child(context,
                    steps({"out:" + std::to_string(size)}).out(piped).err(piped).ordered_output());
      const outcome done = communicate(context, child, how);
      check_cover(done.result);
      const std::vector<output_piece>& pieces = done.result.pieces;
      for (std::size_t i = 1; i < pieces.size(); ++i) {
        REQUIRE(pieces[i].time - pieces[i - 1].time > 10ms);
      }
      CHECK(pieces.size() < size / 65536);
    });
  }

  TEST_CASE("ordered_output: pieces are of what a limit keeps") {
    const leak_check leaks;
    const command cmd = steps({"out:200000", "err:50"}).out(piped).err(piped).ordered_output();
    const completed_process head = run(command(cmd).limit(100, overflow::head));
    check_cover(head);
    CHECK(head.out.size() == 100);
    CHECK(head.err.size() == 50);
    try {
      run(command(cmd).limit(100));
      FAIL("a success");
    } catch (const operation_error& error) {
      CHECK(error.code() == errc::output_limit);
      CHECK(error.result().out.size() == 100);
      check_cover(error.result());
    }
    for (const overflow policy : {overflow::tail, overflow::head_tail}) {
      const spawn_error error = spawn_error_of([&] { run(command(cmd).limit(1 << 20, policy)); });
      CHECK(error.code() == std::errc::invalid_argument);
      CHECK(error.path() == "ordered_output");
    }
  }

  TEST_CASE("ordered_output: a time-out loses and doubles no piece [T41]") {
    const leak_check leaks;
    const watchdog guard;
    for (const way how : {way::loop, way::blocking}) {
      asio::io_context context;
      test_pipe gate;
      process child(context, with_descriptors(
                                 steps({"say:1", "warn:2", "byte:9", "say:3", "byte:9", "warn:4"}),
                                 {{9, gate.read_end.get()}})
                                 .out(piped)
                                 .err(piped)
                                 .ordered_output());
      try {
        child.communicate({}, 1ms);
        FAIL("a success");
      } catch (const timeout_expired& error) {
        check_cover(error.result());
      }
      while (child.captured().err.empty()) {
        CHECK(communicate(context, child, how, {}, 1ms).ec == asio::error::timed_out);
      }
      gate.write_end.reset();
      const outcome done = communicate(context, child, how);
      CHECK_FALSE(done.ec);
      check_cover(done.result);
      CHECK(done.result.out == "1\n3\n");
      CHECK(done.result.err == "2\n4\n");
    }
  }

  TEST_CASE("ordered_output: without it there are no pieces") {
    const completed_process done = run(steps({"say:1", "warn:2"}).capture_output());
    CHECK(done.pieces.empty());
    CHECK(done.ordered_text() == "1\n2\n");
  }

} // TEST_SUITE
