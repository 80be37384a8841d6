#pragma once

#include <subproc/launcher.hpp>

#include <memory>

#include <sys/types.h>

namespace SUBPROC_NAMESPACE::detail {

/// A child that has been reaped: its number may be another process's by now, so nothing is sent to
/// it. Throws spawn_error.
std::unique_ptr<child> make_reaped_child(pid_t pid, const exit_report& report);

} // namespace subproc::detail
