#pragma once

#include "../posix/plan.hpp"

#include <subproc/launcher.hpp>

#include <memory>
#include <optional>

namespace SUBPROC_NAMESPACE::detail {

/// Starts the plan by clone3(2), sharing memory and, where it helps, the descriptor table until
/// exec. Nothing: the kernel or a seccomp filter has no clone3 for us. Throws spawn_error.
std::optional<std::unique_ptr<child>> start_by_clone3(launch_plan& plan, scope own);

/// As run_child, for a child that may share the caller's table of descriptors.
[[noreturn]] void run_cloned_child(child_plan& plan) noexcept;

} // namespace subproc::detail
