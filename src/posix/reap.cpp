#include "reap.hpp"

#include <cerrno>

#include <signal.h>

namespace SUBPROC_NAMESPACE::detail {

void reap_child(pid_t pid) noexcept {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void discard_child(pid_t pid) noexcept {
  ::kill(pid, SIGKILL);
  reap_child(pid);
}

} // namespace subproc::detail
