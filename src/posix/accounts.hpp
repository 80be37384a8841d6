#pragma once

#include <subproc/command.hpp>

#include <optional>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

/// The numbers to set in the child; what is absent stays.
struct credentials {
  std::optional<unsigned> uid;
  std::optional<unsigned> gid;
  std::optional<std::vector<unsigned>> groups;
};

/// Who asks.
struct caller_ids {
  unsigned uid;
  unsigned effective_uid;
  unsigned gid;
  unsigned effective_gid;
};

/// The ids that user(), group() and extra_groups() come to, names looked up here and not in the
/// child. Throws spawn_error of step arguments with the option as its path.
credentials resolve_accounts(const command& cmd);

/// The same on behalf of somebody else.
credentials resolve_accounts(const command& cmd, const caller_ids& caller);

} // namespace subproc::detail
