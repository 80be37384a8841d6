#pragma once

#include <subproc/launcher.hpp>

#include <memory>

#include <sys/types.h>

namespace SUBPROC_NAMESPACE::detail {

/// A child known by a pidfd (owned). `own` is what it leads.
std::unique_ptr<child> make_pidfd_child(pid_t pid, unique_handle pidfd, scope own);

/// A child of which only the pid is known: pidfd_open(2), else the SIGCHLD watch.
std::unique_ptr<child> adopt_child(pid_t pid, scope own);

} // namespace subproc::detail
