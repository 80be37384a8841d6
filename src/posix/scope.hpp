#pragma once

#include <subproc/launcher.hpp>

#include <optional>
#include <vector>

#include <sys/types.h>

namespace SUBPROC_NAMESPACE::detail {

/// The live (not zombie) processes whose group or session is `id`, from /proc. Empty where there is
/// no /proc; nothing when it cannot be read now, for want of a descriptor or of memory.
std::optional<std::vector<int>> scope_members(scope target, pid_t id);

/// Refuses the scope that the caller itself is in.
error_code check_not_own(scope target, pid_t id) noexcept;

/// Signals the members of a session that have left the leader's group.
void signal_session_stragglers(pid_t session, int number);

/// The si_code and si_status of waitid(2) as a status.
exit_status status_from(int code, int value) noexcept;

} // namespace subproc::detail
