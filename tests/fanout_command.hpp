#pragma once

#include "support.hpp"

#include <subproc/command.hpp>
#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/read.hpp>
#include <doctest/doctest.h>

#include <map>
#include <sstream>
#include <string>

namespace subproc::test {

/// The program with these arguments, an empty stdin and captured outputs.
template <class... Args>
command fanout(const Args&... args) {
  return command(fanout_program(), args...).capture_output().in(null);
}

/// What comes of a fanout that gets a signal once it, or a job of it, has written to stdout (1) or
/// stderr (2). The first byte is not in the result.
inline communicate_result signalled(int number, const command& cmd, int once_written = 1) {
  asio::io_context context;
  process child(context, cmd);
  char first;
  asio::read(once_written == 1 ? child.out() : child.err(), asio::buffer(&first, 1));
  child.send_signal(number);
  return child.communicate();
}

/// What is printed for these items on stdin.
template <class... Args>
std::string printed(const std::string& items, const Args&... args) {
  const completed_process done =
      run(command(fanout_program(), "--dry-run", args...).input(items).capture_output());
  CAPTURE(done.err);
  CHECK(done.status.success());
  return done.out;
}

/// How often each job stands in a log.
inline std::map<int, int> jobs_in(const std::string& log) {
  std::map<int, int> jobs;
  std::istringstream from(log);
  std::string line;
  std::getline(from, line); // the names of the columns
  while (std::getline(from, line) && !from.eof()) {
    ++jobs[std::stoi(line)];
  }
  return jobs;
}

} // namespace subproc::test
