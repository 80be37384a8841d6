#pragma once

#include <subproc/process.hpp>

#include <cerrno>

#include <sys/wait.h>

namespace subproc::test {

/// Blocks until the child has ended, which it must be about to do; leaves it unreaped.
inline bool has_ended(const process& child) {
  siginfo_t info{};
  int result = 0;
  do {
    result = ::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT);
  } while (result < 0 && errno == EINTR);
  return result == 0;
}

} // namespace subproc::test
