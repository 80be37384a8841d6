// Many commands in a coroutine, four at once, results in order; Ctrl-C stops them.

#include <subproc/subproc.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <csignal>
#include <exception>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

namespace {

asio::awaitable<void> count_lines(std::vector<std::string> files) {
  std::vector<subproc::command> commands;
  for (const std::string& file : files) {
    commands.push_back(subproc::command("wc", "-l", file).capture_output());
  }
  subproc::result_stream results(co_await asio::this_coro::executor, std::move(commands),
                                 {.concurrency = 4, .keep_order = true});
  while (auto done = co_await results.async_next(asio::use_awaitable)) {
    std::cout << done->sequence << ": " << done->process.out << done->process.err;
  }
}

} // namespace

int main() {
  asio::io_context context;
  asio::signal_set interrupt(context, SIGINT);
  asio::cancellation_signal cancel;
  interrupt.async_wait([&](auto...) { cancel.emit(asio::cancellation_type::terminal); });
  asio::co_spawn(context, count_lines({"/etc/hosts", "/etc/passwd", "/no/such/file"}),
                 asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr error) {
                   interrupt.cancel();
                   std::cout << (error ? "stopped\n" : "all done\n");
                 }));
  context.run();
}
