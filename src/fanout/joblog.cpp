#include "joblog.hpp"

#include "console.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

namespace fanout {

joblog::joblog(const std::string& path) : path_(path), file_(create_file(path), &std::fclose) {
  if (!file_) {
    throw std::system_error(errno, std::generic_category(), "joblog '" + path + "'");
  }
  std::fputs("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n",
             file_.get());
  std::fflush(file_.get());
}

void joblog::add(const subproc::pool_result& job) {
  const subproc::completed_process& done = job.process;
  const double start = std::chrono::duration<double>(done.start_time.time_since_epoch()).count();
  const double seconds = std::chrono::duration<double>(done.elapsed).count();
  // A newline is written as NUL, as GNU parallel does: one line a job.
  std::string command = subproc::to_string(done.cmd);
  std::ranges::replace(command, '\n', '\0');
  // -1 without an exit code: killed, timed out or not started. (GNU parallel: 0, -1 and 127.)
  const std::string line = fmt::format(
      "{}\t:\t{:.3f}\t{:10.3f}\t0\t{}\t{}\t{}\t{}\n", job.sequence, start, seconds, done.out.size(),
      done.status.exit_code().value_or(-1), done.status.signal().value_or(0), command);
  if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size() ||
      std::fflush(file_.get()) != 0) {
    throw std::system_error(errno, std::generic_category(), "joblog '" + path_ + "'");
  }
}

} // namespace fanout
