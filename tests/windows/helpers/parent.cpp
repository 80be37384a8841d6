// A program that uses the library: starts its arguments with die_with_parent, waits for a line of
// that child, prints the child's id and lives until it is ended.

#include <subproc/subproc.hpp>

#include <asio/io_context.hpp>

#include <cstdio>

#include <windows.h>

int main(int argc, char** argv) {
  asio::io_context context;
  subproc::process child(context.get_executor(),
                         subproc::command(std::vector<std::string>(argv + 1, argv + argc))
                             .die_with_parent()
                             .out(subproc::piped));
  char byte = 0;
  subproc::error_code ec;
  child.out().read_some(asio::buffer(&byte, 1), ec);
  std::printf("%d\n", child.pid());
  std::fflush(stdout);
  ::Sleep(INFINITE);
}
