// Follows a log by `tail -F`, line by line, and goes on where it was when tail ends: with a pause
// that doubles, up to ten seconds, while it ends at once.
//
//   log_follower [FILE]        without one: a log of its own, whose tail is killed on the way

#include <subproc/subproc.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>

#include <unistd.h>

using namespace std::chrono_literals;

namespace {

/// What is done with a line; false ends it.
using line_handler = std::function<bool(subproc::process& tail, std::string line)>;

asio::awaitable<void> follow(std::string file, line_handler handle) {
  const auto ex = co_await asio::this_coro::executor;
  std::size_t seen = 0;
  for (auto pause = 10ms;; pause = std::min<std::chrono::milliseconds>(2 * pause, 10s)) {
    subproc::process tail(
        ex, subproc::command("tail", "-F", "-n", "+" + std::to_string(seen + 1), "--", file)
                .out(subproc::piped)
                .err(subproc::null));
    try {
      for (;;) {
        std::string line = co_await tail.out().async_read_line(asio::use_awaitable);
        ++seen;
        pause = 10ms;
        if (!handle(tail, std::move(line))) {
          co_return; // the process object goes, and tail with it
        }
      }
    } catch (const subproc::system_error& error) {
      if (error.code() != asio::error::eof) {
        throw;
      }
    }
    std::cout << "tail: " << co_await tail.async_wait(asio::use_awaitable) << ", once more\n";
    asio::steady_timer again(ex, pause);
    co_await again.async_wait(asio::use_awaitable);
  }
}

} // namespace

int main(int argc, char** argv) {
  asio::io_context context;
  std::exception_ptr failure;
  const auto start = [&](const std::string& file, line_handler handle) {
    asio::co_spawn(context, follow(file, std::move(handle)),
                   [&](std::exception_ptr error) { failure = error; });
    context.run();
    if (failure) {
      std::rethrow_exception(failure);
    }
  };
  if (argc > 1) {
    start(argv[1], [](subproc::process&, std::string line) {
      std::cout << line << std::endl;
      return true;
    });
    return 0;
  }
  const auto log =
      std::filesystem::temp_directory_path() / ("log_follower." + std::to_string(::getpid()));
  std::ofstream writer(log);
  writer << "one\ntwo\n" << std::flush;
  std::string all;
  start(log, [&](subproc::process& tail, std::string line) {
    std::cout << line << '\n';
    all += line + ' ';
    if (line == "two") {
      tail.kill();
      writer << "three\nfour\n" << std::flush;
    }
    return line != "four";
  });
  std::filesystem::remove(log);
  return all == "one two three four " ? 0 : 1;
}
