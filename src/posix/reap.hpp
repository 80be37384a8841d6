#pragma once

#include <subproc/launcher.hpp>

#include <sys/types.h>
#include <sys/wait.h>

namespace SUBPROC_NAMESPACE::detail {

/// What a look at a child has found.
struct child_news {
  enum class state : unsigned char {
    running,
    ended,
    gone, ///< no child of ours (any more): its status is not to be had, its number may be another's
  };

  state what = state::gone;
  exit_report report; ///< when it has ended
};

/// Looks at one child, never at others, without blocking. `reap` takes its end: after that it is
/// gone. The resource usage comes with it, on Linux also without.
child_news look_at(idtype_t by, id_t id, bool reap) noexcept;

inline child_news look_at_child(pid_t pid, bool reap) noexcept {
  return look_at(P_PID, static_cast<id_t>(pid), reap);
}

/// Waits for the end of a child that is about to end, and takes it.
void reap_child(pid_t pid) noexcept;

/// Kills and reaps a child that nobody is going to know.
void discard_child(pid_t pid) noexcept;

} // namespace subproc::detail
