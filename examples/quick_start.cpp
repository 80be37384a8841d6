// The calls that most programs need, with and without a loop.

#include <subproc/subproc.hpp>

#include <asio/io_context.hpp>
#include <asio/use_future.hpp>

#include <iostream>

using namespace std::chrono_literals;

int main() {
  using subproc::command, subproc::piped;
  asio::io_context ctx;

  subproc::process p(ctx, command("cat").in(piped).out(piped));
  p.async_communicate("hello", 5s, [](subproc::error_code ec, subproc::communicate_result r) {
    std::cout << "cat gave " << r.out << ", " << ec.message() << '\n';
  });

  auto done =
      subproc::run(command("sh", "-c", "echo out; echo err >&2; exit 3").out(piped).err(piped));
  std::cout << done.status.exit_code().value() << ' ' << done.out << done.err;

  try {
    subproc::check_output({"false"});
  } catch (const subproc::called_process_error& error) {
    std::cout << error.what() << '\n';
  }
  try {
    subproc::run(command("sleep", "60").timeout(50ms));
  } catch (const subproc::timeout_expired& error) {
    std::cout << error.what() << '\n'; // the child is gone and reaped
  }

  auto future = subproc::async_run(ctx, command("id").out(piped), asio::use_future);
  ctx.run();
  std::cout << future.get().out;
}
