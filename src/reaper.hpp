#pragma once

#include "audit.hpp"

#include <subproc/launcher.hpp>

#include <memory>

namespace SUBPROC_NAMESPACE::detail {

/// A child that nobody owns any more, and what its events need when somebody sees them.
struct left_child {
  std::unique_ptr<child> who;
  std::unique_ptr<audit_trail> trail;

  /// Whether it is gone; raises the event of its exit when this call has found that out.
  bool reap() noexcept;
};

/// Leaves a child to the process-wide reaper thread, which reaps it when it ends. Loop or no loop,
/// the caller never blocks. Started at first need; it lives as long as the program.
void reap_in_background(left_child left) noexcept;

/// What happens to a child whose owner went away.
void abandon_child(left_child left, drop_policy policy, scope target) noexcept;

/// The same for one that never had an owner: no event says that it was dropped.
void end_child(left_child left, drop_policy policy, scope target) noexcept;

} // namespace subproc::detail
