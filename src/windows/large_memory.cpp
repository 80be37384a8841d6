#include "platform.hpp"

namespace SUBPROC_NAMESPACE::detail {

const bool reserves_for_free = false; // it is charged when it is asked for

} // namespace subproc::detail
