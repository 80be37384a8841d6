#include "platform.hpp"

namespace SUBPROC_NAMESPACE::detail {

const bool reserves_for_free = true;

} // namespace subproc::detail
