// Many commands, a bounded number at once: the line counts of files, in their order.

#include <subproc/subproc.hpp>

#include <asio/io_context.hpp>

#include <iostream>
#include <string>
#include <vector>

int main() {
  std::vector<std::string> files{"/etc/hosts", "/etc/passwd", "/no/such/file", "/etc/group"};
  std::size_t next = 0;
  asio::io_context context;
  subproc::pool jobs(
      context, {.concurrency = 2, .keep_order = true},
      [&](subproc::command& cmd) {
        if (next == files.size()) {
          return subproc::next_command::end;
        }
        cmd = subproc::command("wc", "-l", files[next++]).capture_output();
        return subproc::next_command::ready;
      },
      [](subproc::pool_result result) {
        std::cout << result.sequence << ": " << result.process.out << result.process.err;
      });
  jobs.async_run([](std::exception_ptr, subproc::pool_summary all) {
    std::cout << all.succeeded << " good, " << all.failed << " failed\n";
  });
  context.run();
}
