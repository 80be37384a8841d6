#pragma once

#include <subproc/launcher.hpp>

#include <optional>
#include <vector>

#include <sys/types.h>

namespace SUBPROC_NAMESPACE::detail {

/// The live (not zombie) processes whose group or session is `id`, from /proc. Nothing when that
/// cannot be read, for want of a descriptor or of memory, or where there is none.
std::optional<std::vector<int>> scope_members(scope target, pid_t id);

/// Tells whether a group is empty where processes cannot be listed: by its number, on which the
/// unreaped leader counts as well. So the leader is reaped once the group has been killed, after
/// which only signal 0 goes to that number.
class unlisted_group {
public:
  void signalled(int number, scope target) noexcept;

  /// Nothing while the processes can be listed, or the leader is still held. `reap` lets go of it.
  template <class Reap>
  std::optional<bool> empty(pid_t id, bool& hold_leader, Reap reap) noexcept {
    if (hold_leader && killed_ && !can_list_processes()) {
      reap();
      hold_leader = false;
      by_number_ = true;
    }
    return by_number_ ? std::optional(nobody_has(id)) : std::nullopt;
  }

private:
  static bool can_list_processes() noexcept;
  static bool nobody_has(pid_t id) noexcept;

  bool killed_ = false;
  bool by_number_ = false;
};

/// Refuses the scope that the caller itself is in.
error_code check_not_own(scope target, pid_t id) noexcept;

/// Signals the members of a session that have left the leader's group.
void signal_session_stragglers(pid_t session, int number);

/// The si_code and si_status of waitid(2) as a status.
exit_status status_from(int code, int value) noexcept;

/// The status of waitpid(2).
exit_status status_from_wait(int status) noexcept;

} // namespace subproc::detail
