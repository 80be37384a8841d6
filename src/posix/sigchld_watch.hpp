#pragma once

#include <subproc/launcher.hpp>

#include <memory>

#include <sys/types.h>

namespace SUBPROC_NAMESPACE::detail {

/// A child without a pidfd. A process-wide thread learns of SIGCHLD, looks at our own pids only,
/// and makes the child's exit handle readable, so that everything above waits as it does on a
/// pidfd.
std::unique_ptr<child> make_watched_child(pid_t pid, scope own);

} // namespace subproc::detail
