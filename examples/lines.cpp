// Reads live children line by line: questions and answers in turn, and whole outputs to their ends.

#include <subproc/subproc.hpp>

#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include <exception>
#include <iostream>
#include <stdexcept>

using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;

asio::awaitable<void> talk(asio::any_io_executor ex) {
  subproc::process bc(ex, subproc::command("sh", "-c", "while read a b; do echo $((a * b)); done")
                              .in(subproc::piped)
                              .out(subproc::piped));
  for (const std::string question : {"6 7\n", "12 12\n"}) {
    co_await asio::async_write(bc.in(), asio::buffer(question), asio::use_awaitable);
    asio::steady_timer patience(ex, 10s);
    auto answer = co_await (bc.out().async_read_line(asio::use_awaitable) ||
                            patience.async_wait(asio::use_awaitable));
    if (answer.index() == 1) {
      throw std::runtime_error("no answer"); // the destructor kills and reaps
    }
    std::cout << std::get<0>(answer) << '\n';
  }
  bc.in().close(); // its end of file
  std::cout << co_await bc.async_wait(asio::use_awaitable) << '\n';
}

// Any order of reading and thinking.
asio::awaitable<int> sum(asio::any_io_executor ex) {
  subproc::process seq(ex, subproc::command("seq", "1", "100").out(subproc::piped));
  int total = 0;
  try {
    for (;;) {
      total += std::stoi(co_await seq.out().async_read_line(asio::use_awaitable));
    }
  } catch (const subproc::system_error& error) {
    if (error.code() != asio::error::eof) {
      throw;
    }
  }
  co_return total;
}

// Both outputs as they come, each line with a mark.
asio::awaitable<void> watch(asio::any_io_executor ex) {
  subproc::process make(ex, subproc::shell("echo compiling; echo warning: old >&2; echo done")
                                .out(subproc::piped)
                                .err(subproc::piped));
  const std::size_t lines = co_await subproc::async_for_each_line(
      make,
      [](subproc::output_stream which, std::string_view line) {
        std::cout << (which == subproc::output_stream::err ? "err: " : "out: ") << line << '\n';
      },
      asio::use_awaitable);
  std::cout << lines << " lines, " << co_await make.async_wait(asio::use_awaitable) << '\n';
}

asio::awaitable<void> all(asio::any_io_executor ex) {
  co_await talk(ex);
  std::cout << co_await sum(ex) << '\n';
  co_await watch(ex);
}

int main() {
  asio::io_context context;
  std::exception_ptr failure;
  asio::co_spawn(context, all(context.get_executor()),
                 [&](std::exception_ptr error) { failure = error; });
  context.run();
  if (failure) {
    std::rethrow_exception(failure);
  }
}
