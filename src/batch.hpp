#pragma once

#include <subproc/detail/export.hpp>

#include <string_view>

namespace SUBPROC_NAMESPACE::detail {

/// Whether Windows gives this program to cmd.exe, whatever the caller asked for: a name that ends
/// in .bat or .cmd, in any case. Dots and spaces at the end of a name count for nothing there.
bool is_batch_file(std::string_view name) noexcept;

/// What in an argument cmd.exe could take for a command, an expansion or the end of the argument;
/// empty for a safe one. There is no quoting that holds for every batch file: what is not safe is
/// refused.
std::string_view unsafe_for_batch(std::string_view argument) noexcept;

} // namespace subproc::detail
