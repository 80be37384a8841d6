// What reading a child's output by lines costs: a million short lines from `cat`, all readers in
// this process and in changing order.

#include "harness.hpp"

#include <subproc/subproc.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/read_until.hpp>
#include <asio/streambuf.hpp>
#include <asio/use_awaitable.hpp>

#include <cstring>
#include <ctime>
#include <filesystem>
#include <functional>
#include <string>

#include <fcntl.h>

namespace {

using namespace bench;

constexpr int line_count = 1'000'000;

/// What a reader has seen; all must have seen the same.
struct tally {
  std::size_t lines = 0;
  std::size_t bytes = 0;

  void operator()(std::string_view line) {
    ++lines;
    bytes += line.size();
  }
};

tally bare(asio::io_context&, subproc::process& child) {
  tally seen;
  const subproc::unique_handle handle = child.out().release();
  fcntl(handle.get(), F_SETFL, 0);
  std::string held;
  static char block[64 * 1024];
  for (ssize_t n = 0; (n = read(handle.get(), block, sizeof block)) > 0;) {
    const char* at = block;
    const char* const end = block + n;
    while (const void* newline = std::memchr(at, '\n', static_cast<std::size_t>(end - at))) {
      const char* const stop = static_cast<const char*>(newline);
      if (held.empty()) {
        seen({at, static_cast<std::size_t>(stop - at)});
      } else {
        seen(held.append(at, stop));
        held.clear();
      }
      at = stop + 1;
    }
    held.append(at, end);
  }
  return seen;
}

tally for_each(asio::io_context& context, subproc::process& child) {
  tally seen;
  async_for_each_line(child.out(), std::ref(seen), asio::detached);
  context.run();
  return seen;
}

tally blocking(asio::io_context&, subproc::process& child) {
  tally seen;
  subproc::error_code ec;
  for (;;) {
    const std::string line = child.out().read_line(ec);
    if (ec) {
      return seen;
    }
    seen(line);
  }
}

tally callbacks(asio::io_context& context, subproc::process& child) {
  tally seen;
  std::function<void()> next = [&] {
    child.out().async_read_line([&](subproc::error_code ec, const std::string& line) {
      if (!ec) {
        seen(line);
        next();
      }
    });
  };
  next();
  context.run();
  return seen;
}

asio::awaitable<void> by_coroutine(subproc::process& child, tally& seen) {
  try {
    for (;;) {
      seen(co_await child.out().async_read_line(asio::use_awaitable));
    }
  } catch (const std::system_error&) {
  }
}

tally coroutine(asio::io_context& context, subproc::process& child) {
  tally seen;
  asio::co_spawn(context, by_coroutine(child, seen), asio::detached);
  context.run();
  return seen;
}

std::string_view front(const asio::streambuf& buffer, std::size_t size) {
  return {static_cast<const char*>(buffer.data().data()), size - 1};
}

tally asio_callbacks(asio::io_context& context, subproc::process& child) {
  tally seen;
  asio::posix::stream_descriptor stream(context, child.out().release().release());
  asio::streambuf buffer;
  std::function<void()> next = [&] {
    asio::async_read_until(stream, buffer, '\n', [&](asio::error_code ec, std::size_t size) {
      if (!ec) {
        seen(front(buffer, size));
        buffer.consume(size);
        next();
      }
    });
  };
  next();
  context.run();
  return seen;
}

asio::awaitable<void> by_asio_coroutine(asio::posix::stream_descriptor& stream, tally& seen) {
  asio::streambuf buffer;
  try {
    for (;;) {
      const std::size_t size =
          co_await asio::async_read_until(stream, buffer, '\n', asio::use_awaitable);
      seen(front(buffer, size));
      buffer.consume(size);
    }
  } catch (const std::system_error&) {
  }
}

tally asio_coroutine(asio::io_context& context, subproc::process& child) {
  tally seen;
  asio::posix::stream_descriptor stream(context, child.out().release().release());
  asio::co_spawn(context, by_asio_coroutine(stream, seen), asio::detached);
  context.run();
  return seen;
}

struct reader {
  const char* label;
  tally (*read)(asio::io_context&, subproc::process&);
  std::vector<double> wall{};
  std::vector<double> cpu{};
  std::vector<double> ratio{};
};

double cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// Of one reader and a fresh child, nanoseconds a line.
void take_turn(reader& who, const std::string& file, const tally& expected) {
  asio::io_context context;
  subproc::process child(context, subproc::command("cat", file).out(subproc::piped));
  const double cpu = cpu_ns();
  const auto start = now_ns();
  const tally seen = who.read(context, child);
  who.wall.push_back(static_cast<double>(now_ns() - start) / line_count);
  who.cpu.push_back((cpu_ns() - cpu) / line_count);
  child.wait();
  if (seen.lines != expected.lines || seen.bytes != expected.bytes) {
    std::cerr << who.label << " has not read all\n";
    std::exit(1);
  }
}

} // namespace

int main(int argc, char** argv) {
  options defaults;
  defaults.rounds = 15;
  const options chosen = parse_options(argc, argv, defaults);
  const cpu_watch watch;
  print_machine();
  std::cout << "Rounds: " << chosen.rounds << ", lines a turn: " << line_count << ".\n\n";

  const std::string file = (here() / "lines.txt").string();
  tally expected;
  {
    std::ofstream to(file);
    for (int i = 0; i < line_count; ++i) {
      const std::string line = "line " + std::to_string(i) + " of the output";
      expected(line);
      to << line << '\n';
    }
  }
  std::vector<reader> readers = {
      {"bare `read` and `memchr`, blocking", bare},
      {"subproc, `async_for_each_line`", for_each},
      {"subproc, `read_line`, blocking", blocking},
      {"subproc, `async_read_line`, callbacks", callbacks},
      {"subproc, `async_read_line`, coroutine", coroutine},
      {"`asio::async_read_until`, callbacks", asio_callbacks},
      {"`asio::async_read_until`, coroutine", asio_coroutine},
  };
  const auto turn = [&](std::size_t number) { take_turn(readers[number], file, expected); };
  in_rounds(chosen.rounds, readers.size(), turn, [&] {
    for (reader& each : readers) {
      each.ratio.push_back(each.cpu.back() / readers.back().cpu.back());
    }
  });
  std::filesystem::remove(file);

  print_header({"", "million lines a second", "ns a line", "of the reader's processor",
                "beside `asio::async_read_until`, coroutine"});
  for (const reader& each : readers) {
    print_row({each.label, fixed(1e3 / median(each.wall), 2), fixed(median(each.wall), 0),
               fixed(median(each.cpu), 0), ratio_with_spread(each.ratio)});
  }
  print_others(watch);
}
