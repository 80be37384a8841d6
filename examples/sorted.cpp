// A coroutine: run to the end, talk to a live child, stop a group.

#include <subproc/subproc.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>

#include <exception>
#include <iostream>

using namespace std::chrono_literals;

asio::awaitable<void> sorted(asio::any_io_executor ex, std::string text) {
  // run to the end: throws called_process_error / timeout_expired / spawn_error,
  // each carrying the command, the status and what was captured
  std::string line = co_await subproc::async_check_output(
      ex, subproc::command("uname", "-s").cwd("/").timeout(5s), asio::use_awaitable);

  // a live child, fed and drained at once
  subproc::process sort(ex, subproc::command("sort").in(subproc::piped).out(subproc::piped));
  subproc::communicate_result r =
      co_await sort.async_communicate(std::move(text), 30s, asio::use_awaitable);
  subproc::exit_status status = co_await sort.async_wait(asio::use_awaitable);

  // stop one the polite way: SIGTERM, grace, SIGKILL, until its whole group is gone
  subproc::process server(ex, subproc::command("sh", "-c", "sleep 60 & wait").process_group(0));
  co_await server.async_stop(2s, asio::use_awaitable);

  std::cout << "On " << line << r.out << "sort " << status << '\n';
}

int main() {
  asio::io_context context;
  std::exception_ptr failure;
  asio::co_spawn(context, sorted(context.get_executor(), "pear\napple\n"),
                 [&](std::exception_ptr error) { failure = error; });
  context.run();
  if (failure) {
    std::rethrow_exception(failure);
  }
}
