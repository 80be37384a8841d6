#include "start_child.hpp"

#include "fork_launcher.hpp"
#include "reap.hpp"
#include "sigchld_watch.hpp"

namespace SUBPROC_NAMESPACE::detail {
namespace {

std::unique_ptr<child> watch(pid_t pid, scope own) {
  try {
    return make_watched_child(pid, own);
  } catch (...) {
    discard_child(pid);
    throw;
  }
}

} // namespace

started_child start_child(launch_plan& plan, scope own, launcher_kind only) {
  if (plan.needs_fork() || only == launcher_kind::fork) {
    return {watch(start_by_fork(plan), own), launcher_kind::fork};
  }
  return {watch(start_by_vfork(plan), own), launcher_kind::vfork};
}

bool can_launch_by(launcher_kind kind) noexcept {
  return kind == launcher_kind::vfork || kind == launcher_kind::fork;
}

} // namespace subproc::detail
