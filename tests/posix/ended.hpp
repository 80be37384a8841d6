#pragma once

#include <subproc/process.hpp>

#include <cerrno>

#include <sys/wait.h>

namespace subproc::test {

/// Blocks until the child has ended, which it must be about to do; leaves it unreaped.
inline bool has_ended(int pid) {
  siginfo_t info{};
  int result = 0;
  do {
    result = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
  } while (result < 0 && errno == EINTR);
  return result == 0;
}
inline bool has_ended(const process& child) { return has_ended(child.pid()); }

} // namespace subproc::test
