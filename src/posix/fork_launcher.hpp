#pragma once

#include "plan.hpp"

#include <subproc/launcher.hpp>

#include <signal.h>
#include <sys/types.h>

namespace SUBPROC_NAMESPACE::detail {

/// Blocks every signal of this thread: a handler must not run in a child that shares the caller's
/// memory.
class signal_block {
public:
  signal_block() noexcept;
  ~signal_block();
  signal_block(const signal_block&) = delete;
  signal_block& operator=(const signal_block&) = delete;

  const sigset_t& old_mask() const noexcept { return old_; }

private:
  sigset_t old_{};
};

/// Starts the plan by vfork(2) or by fork and returns the pid once the program runs. Throws
/// spawn_error; the failed child is reaped then.
pid_t start_by_vfork(launch_plan& plan);
pid_t start_by_fork(launch_plan& plan);

} // namespace subproc::detail
