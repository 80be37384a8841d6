#include <subproc/command.hpp>

namespace SUBPROC_NAMESPACE::detail {

shell_call platform_shell() noexcept { return {"/bin/sh", "-c"}; }

} // namespace subproc::detail
