// Reads a live child line by line, answers it, and bounds the wait with an ordinary Asio timer.

#include <subproc/subproc.hpp>

#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/read_until.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include <exception>
#include <iostream>

using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;

asio::awaitable<std::string> line_of(subproc::readable_pipe& stream, std::string& rest) {
  const std::size_t size = co_await asio::async_read_until(stream, asio::dynamic_buffer(rest), '\n',
                                                           asio::use_awaitable);
  std::string line = rest.substr(0, size);
  rest.erase(0, size);
  co_return line;
}

asio::awaitable<void> talk(asio::any_io_executor ex) {
  subproc::process bc(ex, subproc::command("sh", "-c", "while read a b; do echo $((a * b)); done")
                              .in(subproc::piped)
                              .out(subproc::piped));
  std::string rest;
  for (const std::string question : {"6 7\n", "12 12\n"}) {
    co_await asio::async_write(bc.in(), asio::buffer(question), asio::use_awaitable);
    asio::steady_timer patience(ex, 10s);
    auto answer = co_await (line_of(bc.out(), rest) || patience.async_wait(asio::use_awaitable));
    if (answer.index() == 1) {
      throw std::runtime_error("no answer"); // the destructor kills and reaps
    }
    std::cout << std::get<0>(answer);
  }
  bc.in().close(); // its end of file
  std::cout << co_await bc.async_wait(asio::use_awaitable) << '\n';
}

int main() {
  asio::io_context context;
  std::exception_ptr failure;
  asio::co_spawn(context, talk(context.get_executor()),
                 [&](std::exception_ptr error) { failure = error; });
  context.run();
  if (failure) {
    std::rethrow_exception(failure);
  }
}
