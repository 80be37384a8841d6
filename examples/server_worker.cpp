// A server that starts workers without holding its loop, and ends them with itself.

#include <subproc/subproc.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <iostream>

using namespace std::chrono_literals;

asio::awaitable<void> request(asio::any_io_executor ex, int number) {
  try {
    // The start is made on a launcher thread, and only what a worker needs reaches it.
    subproc::process worker = co_await subproc::async_spawn(
        ex,
        subproc::command("sh", "-c", "cat; [ $REQUEST != 2 ] || sleep 600")
            .env(subproc::environment::clean().set("REQUEST", std::to_string(number)))
            .in(subproc::piped)
            .out(subproc::piped)
            .process_group(0),
        asio::use_awaitable);
    auto result = co_await worker.async_communicate("request " + std::to_string(number), 300ms,
                                                    asio::use_awaitable);
    std::cout << result.out << '\n';
  } catch (const subproc::system_error& error) {
    // A time-out leaves the worker alone; here its process object goes and takes its group along.
    std::cout << "request " << number << ": " << error.what() << '\n';
  }
}

int main() {
  asio::io_context context;
  for (int number = 1; number <= 3; ++number) {
    asio::co_spawn(context, request(context.get_executor(), number), asio::detached);
  }
  context.run();
}
