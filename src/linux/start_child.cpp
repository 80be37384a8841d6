#include "../posix/start_child.hpp"

#include "../posix/fork_launcher.hpp"
#include "clone3_launcher.hpp"
#include "pidfd_child.hpp"

namespace SUBPROC_NAMESPACE::detail {

started_child start_child(launch_plan& plan, scope own, launcher_kind only) {
  if (plan.needs_fork() || only == launcher_kind::fork) {
    return {adopt_child(start_by_fork(plan), own), launcher_kind::fork};
  }
  if (only != launcher_kind::vfork) {
    if (auto cloned = start_by_clone3(plan, own)) {
      return {std::move(*cloned), launcher_kind::clone3};
    }
    if (only == launcher_kind::clone3) {
      throw spawn_error(detail::generic_error(std::errc::function_not_supported), spawn_step::fork,
                        {});
    }
  }
  return {adopt_child(start_by_vfork(plan), own), launcher_kind::vfork};
}

bool can_launch_by(launcher_kind kind) noexcept {
  return kind == launcher_kind::clone3 || kind == launcher_kind::vfork ||
         kind == launcher_kind::fork;
}

} // namespace subproc::detail
