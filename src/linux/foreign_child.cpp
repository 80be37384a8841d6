#include "../check.hpp"
#include "../posix/foreign_start.hpp"
#include "pidfd_child.hpp"

#include <cerrno>

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {

std::unique_ptr<child> adopt_foreign(pid_t pid, scope own) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) < 0) {
    // With SIGCHLD ignored a child that has ended is gone: that is for adopt_child() to tell.
    struct sigaction chld {};
    ::sigaction(SIGCHLD, nullptr, &chld);
    if (chld.sa_handler != SIG_IGN && (chld.sa_flags & SA_NOCLDWAIT) == 0) {
      throw spawn_error(error_code(errno, system_category()), spawn_step::arguments, "adopt",
                        "there is no such child, or it has been reaped");
    }
  }
  if (const pid_t group = ::getpgid(pid); own == scope::group && group >= 0 && group != pid) {
    refuse("process_group", "the child leads no process group");
  }
  if (const pid_t session = ::getsid(pid);
      own == scope::session && session >= 0 && session != pid) {
    refuse("new_session", "the child leads no session");
  }
  // adopt_child() kills a child that it cannot come to know; this one is somebody else's.
  unique_handle room(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!room && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
    throw spawn_error(error_code(errno, system_category()), spawn_step::fork, {});
  }
  room.reset();
  return adopt_child(pid, own);
}

} // namespace subproc::detail
