// A program that uses the library: starts its arguments but the first with die_with_parent, waits
// for a line of that child, prints the child's id and lives until it is ended. The first says what
// it does with the process object: keep, release or detach.

#include <subproc/subproc.hpp>

#include <asio/io_context.hpp>

#include <cstdio>
#include <string_view>

#include <windows.h>

int main(int argc, char** argv) {
  asio::io_context context;
  subproc::process child(context.get_executor(),
                         subproc::command(std::vector<std::string>(argv + 2, argv + argc))
                             .die_with_parent()
                             .out(subproc::piped));
  char byte = 0;
  subproc::error_code ec;
  child.out().read_some(asio::buffer(&byte, 1), ec);
  const std::string_view what = argv[1];
  const int id = child.pid();
  subproc::released_child released;
  if (what == "release") {
    released = child.release();
  } else if (what == "detach") {
    child.detach();
  }
  std::printf("%d\n", id);
  std::fflush(stdout);
  ::Sleep(INFINITE);
}
