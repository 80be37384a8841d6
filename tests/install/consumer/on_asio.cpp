#include "consumer.hpp"

#include <subproc/subproc.hpp>

#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/read.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#include <future>
#include <iostream>
#include <string>

namespace {

asio::awaitable<std::string> output_of_echo(asio::any_io_executor ex) {
  co_return co_await subproc::async_check_output(ex, subproc::command("echo", "hello"),
                                                 asio::use_awaitable);
}

bool runs_a_command() {
  const subproc::completed_process done =
      subproc::run(subproc::command("sh", "-c", "echo out; exit 3").out(subproc::piped));
  return done.status.exit_code() == 3 && done.out == "out\n";
}

bool awaits_a_command() {
  asio::io_context context;
  std::future<std::string> out =
      asio::co_spawn(context, output_of_echo(context.get_executor()), asio::use_future);
  context.run();
  return out.get() == "hello\n";
}

bool knows_the_end_of_a_stream() {
  asio::io_context context;
  subproc::process child(context, subproc::command("echo", "x").out(subproc::piped));
  std::string text(100, '\0');
  asio::error_code end;
  asio::async_read(child.out(), asio::buffer(text),
                   [&end](asio::error_code ec, std::size_t) { end = ec; });
  context.run();
  return end == asio::error::eof;
}

} // namespace

bool works_on_asio() {
  const bool ran = runs_a_command();
  const bool awaited = awaits_a_command();
  const bool ended = knows_the_end_of_a_stream();
  std::cout << "run: " << ran << ", co_await: " << awaited << ", end of stream: " << ended << '\n';
  return ran && awaited && ended;
}
