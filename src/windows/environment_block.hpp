#pragma once

#include <subproc/environment.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

/// The caller's `NAME=value` strings, `=C:` and the like among them.
std::vector<std::wstring> caller_entries();

/// Whether two names mean one variable, as Windows compares them.
bool same_variable(std::wstring_view left, std::wstring_view right) noexcept;

/// What CreateProcessW takes: the entries in the order of their names, each ended by a null, and a
/// null. Throws system_error (illegal_byte_sequence) for what is no UTF-8.
std::wstring make_environment_block(const environment& env);

} // namespace subproc::detail
