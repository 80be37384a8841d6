#include "foreign_start.hpp"
#include "sigchld_watch.hpp"

namespace SUBPROC_NAMESPACE::detail {

std::unique_ptr<child> adopt_foreign(pid_t pid, scope own) {
  require_own_child(pid, own);
  return make_watched_child(pid, own);
}

} // namespace subproc::detail
