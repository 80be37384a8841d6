#include "../exit_code.hpp"

namespace SUBPROC_NAMESPACE::detail {

std::string shown_code(long long code) { return std::to_string(code); }

} // namespace subproc::detail
