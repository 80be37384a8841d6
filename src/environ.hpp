#pragma once

#include <subproc/detail/export.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

/// The caller's `NAME=value` strings, as they are now. Defined by the platform, which, like
/// getenv(3), does not guard against a thread that changes the environment at the same time.
std::vector<std::string> caller_environment();

/// The value that getenv(3) would find.
std::optional<std::string> caller_variable(std::string_view name);

} // namespace subproc::detail
