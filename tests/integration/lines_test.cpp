#include <subproc/lines.hpp>

#include "line_reading.hpp"
#include "platform.hpp"

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/strand.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#include <array>
#include <atomic>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace subproc;
using namespace subproc::test;
using namespace std::chrono_literals;

namespace {

struct lines_result {
  int calls = 0;
  error_code ec;
  std::string thrown;
  std::size_t lines = 0;

  auto handler() {
    return [this](std::exception_ptr error, std::size_t n) {
      ++calls;
      lines = n;
      try {
        if (error) {
          std::rethrow_exception(error);
        }
      } catch (const system_error& e) {
        ec = e.code();
      } catch (const std::runtime_error& e) {
        thrown = e.what();
      }
    };
  }
};

std::uint64_t written_by(int pid) {
  std::ifstream io("/proc/" + std::to_string(pid) + "/io");
  std::string key;
  std::uint64_t value = 0;
  while (io >> key >> value && key != "wchar:") {
  }
  return value;
}

} // namespace

TEST_SUITE("lines") {

  TEST_CASE("lines: one read at a time, of whichever kind") {
    const leak_check leaks;
    asio::io_context context;
    echo sent(context);
    readable_pipe& out = sent.child.out();
    text_result first;
    lines_result each;
    SUBCASE("a line is pending") { out.async_read_line(first.handler()); }
    SUBCASE("a stream is read by lines") {
      async_for_each_line(
          out, [](std::string_view) {}, each.handler());
    }
    poll(context);
    text_result second;
    lines_result all;
    error_code communicated;
    error_code read;
    std::array<char, 4> buffer;
    out.async_read_line(second.handler());
    async_for_each_line(
        sent.child, [](output_stream, std::string_view) {}, all.handler());
    sent.child.async_communicate([&](error_code ec, communicate_result) { communicated = ec; });
    out.async_read_some(asio::buffer(buffer), [&](error_code ec, std::size_t) { read = ec; });
    poll(context);
    CHECK(second.ec == errc::operation_pending);
    CHECK(all.ec == errc::operation_pending);
    CHECK(communicated == errc::operation_pending);
    CHECK(read == errc::operation_pending);
    error_code ec;
    out.read_line(ec);
    CHECK(ec == errc::operation_pending);
    CHECK(first.calls + each.calls == 0);
    sent.say("x\n");
    sent.child.in().close();
    run(context);
    CHECK(first.calls + each.calls == 1);
    CHECK((first.text == "x" || each.lines == 1));
    CHECK(sent.child.wait().success());
  }

  TEST_CASE("lines: a stream that is not piped is a closed one") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"exit:0"}));
    text_result line;
    lines_result each;
    lines_result both;
    lines_result of_nothing;
    process moved_from;
    child.out().async_read_line(line.handler());
    async_for_each_line(
        child.out(), [](std::string_view) {}, each.handler());
    async_for_each_line(
        child, [](output_stream, std::string_view) {}, both.handler());
    CHECK(line.calls + each.calls + both.calls == 0);
    run(context);
    CHECK(line.ec == asio::error::bad_descriptor);
    CHECK(each.ec == asio::error::bad_descriptor);
    CHECK(both.ec == asio::error::bad_descriptor);
    CHECK(child.out().buffered().empty());
    CHECK(moved_from.out().buffered().empty());
    error_code ec;
    moved_from.out().read_line(ec);
    CHECK(ec == asio::error::bad_descriptor);
  }

  TEST_CASE("lines: a move disturbs no read, a destruction ends it") {
    const leak_check leaks;
    asio::io_context context;
    auto sent = std::make_unique<echo>(context);
    std::string seen;
    error_code last;
    const auto on_line = [&](error_code ec, std::string line) {
      seen += line + "|";
      last = ec;
    };
    lines_result each;
    bool whole = false;
    SUBCASE("a line") {}
    SUBCASE("a stream") { whole = true; }
    const auto start = [&](readable_pipe& pipe) {
      if (whole) {
        async_for_each_line(
            pipe, [&](std::string_view line) { on_line({}, std::string(line)); }, each.handler());
      } else {
        pipe.async_read_line(on_line);
      }
    };
    start(sent->child.out());
    sent->say("begun");
    poll(context);
    process other = std::move(sent->child);
    asio::write(other.in(), asio::buffer(", ended\n", 8));
    while (seen.empty()) {
      context.restart();
      context.run_one();
    }
    CHECK(seen == "begun, ended|");
    if (!whole) {
      start(other.out());
    }
    poll(context);
    other = process();
    run(context);
    CHECK((whole ? each.ec : last) == asio::error::operation_aborted);
  }

  TEST_CASE("lines: a loop that goes first ends reads, and the blocking ones go on") {
    const leak_check leaks;
    auto context = std::make_unique<asio::io_context>();
    text_result line;
    lines_result each;
    auto alive = std::make_shared<int>();
    std::weak_ptr<int> handler_lives = alive;
    {
      process child(
          *context,
          steps({"say:a", "warn:b", "read:1", "say:c", "warn:d"}).in(piped).out(piped).err(piped));
      std::string seen;
      child.out().async_read_until("no such", line.handler());
      async_for_each_line(
          child.err(), [&seen, alive](std::string_view text) { seen += text; }, each.handler());
      while (seen != "b") {
        context->run_one();
      }
      context->poll();
      SUBCASE("while it waits") {}
      SUBCASE("with a turn that is due") {
        asio::write(child.in(), asio::buffer("\n", 1));
        REQUIRE(readable(child.err().native_handle()));
        context->run_one();
      }
      context.reset();
      alive.reset();
      CHECK(handler_lives.expired());
      CHECK(line.calls + each.calls == 0);
      child.in().close();
      CHECK(child.out().read_line() == "a");
      CHECK(child.err().read_line() == "d");
    }
  }

  TEST_CASE("lines: a child whose lines nobody takes waits, then gives all [T45] [K124]") {
    const leak_check leaks;
    asio::io_context context;
    constexpr std::uint64_t size = 8'888'904; // seq 1 1250001
    process child(context, steps({"seq:1250001"}).out(piped));
    const std::uint64_t capacity = pipe_capacity(child.out().native_handle());
    std::string first;
    lines_result paused;
    async_for_each_line(
        child.out(),
        [&](std::string_view line) {
          first = line;
          throw std::runtime_error("paused");
        },
        paused.handler());
    run(context);
    CHECK(first == "1");
    CHECK(paused.thrown == "paused");
    CHECK(paused.lines == 1);
    REQUIRE(eventually(
        [&] { return bytes_waiting(child.out().native_handle()) + 4 * 4096 >= capacity; }));
    CHECK(child.out().buffered().size() <= one_read);
    CHECK(written_by(child.pid()) <= capacity + one_read);

    std::uint64_t bytes = 2;
    std::uint64_t number = 1;
    bool right = true;
    lines_result rest;
    async_for_each_line(
        child.out(),
        [&](std::string_view line) {
          bytes += line.size() + 1;
          right = right && line == std::to_string(++number);
        },
        rest.handler());
    run(context);
    CHECK(right);
    CHECK(rest.ec == error_code());
    CHECK(rest.lines == 1'250'000);
    CHECK(bytes == size);
    CHECK(child.wait().success());
  }

  TEST_CASE("lines: all that a child wrote is read, however long it has been gone [K131]") {
    if (excused_without(feature::pipe_size, "it needs a pipe of another size")) {
      return;
    }
    const leak_check leaks;
    asio::io_context context;
    constexpr int last = 40'000;
    process child(context,
                  steps({"seq:" + std::to_string(last)}).out(piped).pipe_size(1024 * 1024));
    REQUIRE(child.wait().success());
    std::size_t bytes = 0;
    lines_result each;
    async_for_each_line(
        child.out(), [&](std::string_view line) { bytes += line.size() + 1; }, each.handler());
    run(context);
    CHECK(bytes == numbers(last).size());
    CHECK(each.lines == last);
  }

  TEST_CASE("lines: each stream's lines come before its end, the exit at any time [K133] [B13]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"say:o1", "warn:e1", "say:o2", "close:1", "read:1",
                                  "eprint:e2\ne3", "exit:3"})
                               .in(piped)
                               .out(piped)
                               .err(piped));
    std::vector<std::string> out;
    std::vector<std::string> err;
    lines_result each;
    exit_status status;
    child.async_wait([&](error_code, exit_status s) { status = s; });
    async_for_each_line(
        child,
        [&](output_stream which, std::string_view line) {
          (which == output_stream::err ? err : out).emplace_back(line);
          if (out.size() == 2 && err.size() == 1) {
            child.in().close(); // the end of one stream is not that of the other
          }
        },
        each.handler());
    run(context);
    CHECK(each.ec == error_code());
    CHECK(each.lines == 5);
    CHECK(out == std::vector<std::string>{"o1", "o2"});
    CHECK(err == std::vector<std::string>{"e1", "e2", "e3"});
    CHECK(status.exit_code() == 3);
  }

  TEST_CASE("lines: both outputs flooded are read whole and in order [T43] [B13]") {
    const leak_check leaks;
    asio::io_context context;
    constexpr int count = 200'000;
    process child(context, steps({"both:200000"}).out(piped).err(piped));
    std::array<int, 2> last{};
    bool right = true;
    lines_result each;
    async_for_each_line(
        child,
        [&](output_stream which, std::string_view line) {
          int& number = last[which == output_stream::err];
          right = right && line == std::to_string(++number);
        },
        each.handler());
    run(context);
    CHECK(each.ec == error_code());
    CHECK(each.lines == 2 * count);
    CHECK(right);
    CHECK(last == std::array{count, count});
    CHECK(child.wait().success());
  }

  TEST_CASE("lines: a flood lets others on the loop have their turn") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"yes"}).out(piped));
    std::uint64_t lines = 0;
    lines_result each;
    asio::cancellation_signal signal;
    async_for_each_line(
        child.out(), [&](std::string_view) { ++lines; },
        asio::bind_cancellation_slot(signal.slot(), each.handler()));
    int others = 0;
    std::function<void()> other = [&] {
      if (++others == 20) {
        signal.emit(asio::cancellation_type::total);
      } else {
        asio::post(context, other);
      }
    };
    asio::post(context, other);
    run(context);
    CHECK(each.ec == asio::error::operation_aborted);
    CHECK(each.lines == lines);
    CHECK(others == 20);
    child.kill();
  }

  TEST_CASE("lines: cancelled at any line, what was not handed out is read next [C54]") {
    const leak_check leaks;
    asio::io_context context;
    for (const int stop_at : {1, 2, 999, 5'000, 19'999, 20'000}) {
      process child(context, steps({"seq:20000", "eseq:20000"}).out(piped).err(piped));
      std::array<std::string, 2> seen;
      int count = 0;
      lines_result each;
      asio::cancellation_signal signal;
      async_for_each_line(
          child,
          [&](output_stream which, std::string_view line) {
            seen[which == output_stream::err].append(line).append("\n");
            if (++count == stop_at) {
              signal.emit(asio::cancellation_type::terminal);
            }
          },
          asio::bind_cancellation_slot(signal.slot(), each.handler()));
      run(context);
      CHECK(each.ec == asio::error::operation_aborted);
      CHECK(each.lines == static_cast<std::size_t>(stop_at));
      CHECK(count == stop_at);
      const communicate_result rest = child.communicate();
      const std::string all = numbers(20'000);
      CHECK((seen[0] + rest.out == all));
      CHECK((seen[1] + rest.err == all));
    }
  }

  TEST_CASE("lines: what the function throws ends it, and the next line is read next") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, prints("a\nb\nc"));
    std::string seen;
    lines_result each;
    lines_result rest;
    async_for_each_line(
        child.out(),
        [&](std::string_view line) {
          seen += line;
          if (line == "b") {
            throw std::runtime_error("enough");
          }
        },
        [&](std::exception_ptr error, std::size_t lines) {
          each.handler()(error, lines);
          // The stream is free by now.
          async_for_each_line(
              child.out(), [&](std::string_view line) { seen += "+" + std::string(line); },
              rest.handler());
        });
    run(context);
    CHECK(each.thrown == "enough");
    CHECK(each.lines == 2);
    CHECK(rest.ec == error_code());
    CHECK(seen == "ab+c");
  }

  TEST_CASE("lines: a whole stream with long lines, refused or in pieces") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, prints("abc\n12345678\nd\n"));
    std::string seen;
    lines_result refused;
    async_for_each_line(
        child.out(), [&](std::string_view line) { seen.append(line) += '|'; },
        line_options{.limit = 3}, refused.handler());
    run(context);
    CHECK(refused.ec == asio::error::not_found);
    CHECK(refused.lines == 1);
    CHECK(seen == "abc|");

    lines_result pieces;
    async_for_each_line(
        child.out(),
        [&](std::string_view line, bool goes_on) { seen.append(line) += goes_on ? '+' : '|'; },
        line_options{.limit = 3, .longer = long_line::pieces}, pieces.handler());
    run(context);
    CHECK(pieces.ec == error_code());
    CHECK(pieces.lines == 2);
    CHECK(seen == "abc|123+456+78|d|");

    lines_result nothing;
    async_for_each_line(
        child, [](output_stream, std::string_view, bool) {},
        line_options{.limit = 0, .longer = long_line::pieces}, nothing.handler());
    run(context);
    CHECK(nothing.ec == std::errc::invalid_argument);
  }

  TEST_CASE("lines: the function may close the pipe, cancel it or destroy the process") {
    const leak_check leaks;
    asio::io_context context;
    auto child = std::make_unique<process>(context, prints("a\nb\n").err(piped));
    int calls = 0;
    lines_result each;
    int what = 0;
    SUBCASE("close") { what = 1; }
    SUBCASE("cancel") { what = 2; }
    SUBCASE("destroy") { what = 3; }
    async_for_each_line(
        *child,
        [&](output_stream, std::string_view) {
          ++calls;
          if (what == 1) {
            child->out().close();
          } else if (what == 2) {
            child->err().cancel();
          } else {
            child.reset();
          }
        },
        each.handler());
    run(context);
    CHECK(calls == 1);
    CHECK(each.calls == 1);
    CHECK(each.lines == 1);
    CHECK(each.ec == asio::error::operation_aborted);
    if (what == 2) {
      CHECK(child->out().read_line() == "b");
    }
  }

  TEST_CASE("lines: every kind of token, and the function is called where the handler is") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, prints("a\nb\nc--d\ne").err(piped));
    std::future<std::string> future = child.out().async_read_line(asio::use_future);
    run(context);
    CHECK(future.get() == "a");

    std::string got;
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
          got += co_await child.out().async_read_line(asio::use_awaitable);
          got += co_await child.out().async_read_until("--", asio::use_awaitable);
          got += (co_await child.out().async_read_line_piece(9, asio::use_awaitable)).text;
        },
        asio::detached);
    run(context);
    CHECK(got == "bc--d");

    asio::strand<asio::io_context::executor_type> strand(context.get_executor());
    bool inside = true;
    auto only_moved = std::make_unique<int>(1);
    child.out().async_read_line(
        asio::bind_executor(strand, [&, p = std::move(only_moved)](error_code, std::string line) {
          inside = inside && strand.running_in_this_thread();
          got += line;
        }));
    run(context);
    CHECK(got == "bc--de");

    process other(context, prints("1\n2\n3\n").err(piped));
    std::size_t lines = 0;
    async_for_each_line(
        other,
        [&, p = std::make_unique<int>(1)](output_stream, std::string_view) {
          inside = inside && strand.running_in_this_thread();
        },
        asio::bind_executor(strand, [&](std::exception_ptr, std::size_t n) {
          inside = inside && strand.running_in_this_thread();
          lines = n;
        }));
    run(context);
    CHECK(inside);
    CHECK(lines == 3);

    process third(context, prints("1\n2\n"));
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
          lines = co_await async_for_each_line(
              third.out(), [](std::string_view) {}, asio::use_awaitable);
        },
        asio::detached);
    run(context);
    CHECK(lines == 2);
  }

  TEST_CASE("lines: a loop of two threads, many children, reads and cancellations") {
    const leak_check leaks;
    asio::io_context context;
    constexpr int children = times(40);
    std::atomic<int> right = 0;
    for (int i = 0; i < children; ++i) {
      asio::co_spawn(
          context,
          [&context, &right, i]() -> asio::awaitable<void> {
            process child(context, steps({"both:3000"}).out(piped).err(piped));
            std::string seen;
            if (i % 2 == 0) {
              for (int n = 0; n < 100; ++n) {
                seen += co_await child.out().async_read_line(asio::use_awaitable) + "\n";
              }
            }
            std::string err;
            try {
              co_await async_for_each_line(
                  child,
                  [&](output_stream which, std::string_view line) {
                    (which == output_stream::err ? err : seen).append(line) += '\n';
                    if (i % 3 == 0 && line == "2000") {
                      child.err().cancel();
                    }
                  },
                  asio::use_awaitable);
            } catch (const system_error&) {
            }
            const auto rest = co_await child.async_communicate(asio::use_awaitable);
            const std::string all = numbers(3000);
            right += seen + rest.out == all && err + rest.err == all;
          },
          asio::detached);
    }
    std::thread second([&] { context.run(); });
    context.run();
    second.join();
    CHECK(right == children);
  }

} // TEST_SUITE
