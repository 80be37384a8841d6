#include "consumer.hpp"

#include <subproc/subproc.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <boost/system/errc.hpp>

#include <chrono>
#include <future>
#include <iostream>
#include <string>
#include <system_error>

namespace {

boost::asio::awaitable<std::string> output_of_echo(boost::asio::any_io_executor ex) {
  co_return co_await subproc::async_check_output(ex, subproc::command("echo", "hello"),
                                                 boost::asio::use_awaitable);
}

bool runs_a_command() {
  const subproc::completed_process done =
      subproc::run(subproc::command("sh", "-c", "echo out; exit 3").out(subproc::piped));
  return done.status.exit_code() == 3 && done.out == "out\n";
}

bool awaits_a_command() {
  boost::asio::io_context context;
  std::future<std::string> out = boost::asio::co_spawn(
      context, output_of_echo(context.get_executor()), boost::asio::use_future);
  context.run();
  return out.get() == "hello\n";
}

bool knows_the_end_of_a_stream() {
  boost::asio::io_context context;
  subproc::process child(context, subproc::command("echo", "x").out(subproc::piped));
  std::string text(100, '\0');
  boost::system::error_code end;
  boost::asio::async_read(child.out(), boost::asio::buffer(text),
                          [&end](boost::system::error_code ec, std::size_t) { end = ec; });
  context.run();
  return end == boost::asio::error::eof;
}

// The codes and exceptions are Boost's, and compare with the standard's conditions.
bool knows_boosts_errors() {
  boost::asio::io_context context;
  subproc::process child(context, subproc::command("sleep", "1000"));
  boost::system::error_code ec;
  child.async_wait(std::chrono::milliseconds(1),
                   [&ec](boost::system::error_code got, subproc::exit_status) { ec = got; });
  context.run();
  bool thrown = false;
  try {
    subproc::run(subproc::command("/no/such"));
  } catch (const boost::system::system_error& error) {
    thrown = error.code() == std::errc::no_such_file_or_directory &&
             error.code() == boost::system::errc::no_such_file_or_directory;
  }
  const boost::system::error_code ours = subproc::errc::no_child;
  const std::error_code standard = ours;
  return ec == boost::asio::error::timed_out && thrown && ours == subproc::errc::no_child &&
         ours == std::errc::no_child_process && standard == std::errc::no_child_process;
}

} // namespace

bool works_on_boost() {
  const bool ran = runs_a_command();
  const bool awaited = awaits_a_command();
  const bool ended = knows_the_end_of_a_stream();
  const bool errors = knows_boosts_errors();
  std::cout << "on Boost.Asio: run: " << ran << ", co_await: " << awaited
            << ", end of stream: " << ended << ", errors: " << errors << '\n';
  return ran && awaited && ended && errors;
}
