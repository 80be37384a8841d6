#pragma once

#include <string>
#include <string_view>

namespace subproc::detail {

/// A name as a message shows it: in single quotes, control bytes escaped, long ones cut.
std::string shown(std::string_view name);

} // namespace subproc::detail
