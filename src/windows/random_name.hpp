#pragma once

#include <subproc/detail/export.hpp>

#include <string>
#include <string_view>

namespace SUBPROC_NAMESPACE::detail {

/// The prefix and 128 random bits: a name that other processes cannot guess. Throws
/// system_error.
std::wstring random_name(std::wstring_view prefix);

} // namespace subproc::detail
