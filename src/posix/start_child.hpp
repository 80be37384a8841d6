#pragma once

#include "plan.hpp"

#include <subproc/launcher.hpp>

#include <memory>

namespace SUBPROC_NAMESPACE::detail {

struct started_child {
  std::unique_ptr<subproc::child> child;
  launcher_kind launched_by = launcher_kind::none;
};

/// Starts the plan in the platform's best way, or in the one of that kind. `own` is what the child
/// leads. Throws spawn_error.
started_child start_child(launch_plan& plan, scope own, launcher_kind only);

/// Whether the platform has such a way.
bool can_launch_by(launcher_kind kind) noexcept;

} // namespace subproc::detail
