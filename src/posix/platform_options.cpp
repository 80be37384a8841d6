#include "../check.hpp"

namespace SUBPROC_NAMESPACE::detail {

void check_platform_options(const command& cmd) {
  if (cmd.get<windows>() != nullptr) {
    refuse("windows", "these options are only supported on Windows");
  }
}

} // namespace subproc::detail
