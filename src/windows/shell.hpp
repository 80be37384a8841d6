#pragma once

#include <subproc/detail/export.hpp>

#include <string>

namespace SUBPROC_NAMESPACE::detail {

/// The full path of the system's cmd.exe, as the caller's environment says it; a copy of it in the
/// working directory or in PATH must not be taken. Throws spawn_error.
std::wstring command_interpreter();

} // namespace subproc::detail
