#include "platform.hpp"

namespace SUBPROC_NAMESPACE::detail {

bool reserving_is_free() noexcept { return false; } // it is charged when it is asked for

} // namespace subproc::detail
