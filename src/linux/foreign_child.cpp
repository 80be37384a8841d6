#include "../posix/foreign_start.hpp"
#include "pidfd_child.hpp"

#include <cerrno>

#include <sys/syscall.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {

std::unique_ptr<child> adopt_foreign(pid_t pid, scope own) {
  require_own_child(pid, own);
  // adopt_child() kills a child that it cannot come to know; this one is somebody else's.
  unique_handle room(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!room && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
    throw spawn_error(error_code(errno, system_category()), spawn_step::fork, {});
  }
  room.reset();
  return adopt_child(pid, own);
}

} // namespace subproc::detail
