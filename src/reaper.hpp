#pragma once

#include <subproc/launcher.hpp>

#include <memory>

namespace subproc::detail {

/// Leaves a child to the process-wide reaper thread, which reaps it when it ends. Loop or no loop,
/// the caller never blocks. Started at first need; it lives as long as the program.
void reap_in_background(std::unique_ptr<child> left) noexcept;

/// What happens to a child that nobody owns any more.
void abandon_child(std::unique_ptr<child> left, drop_policy policy, scope target) noexcept;

} // namespace subproc::detail
