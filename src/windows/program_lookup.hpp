#pragma once

#include <subproc/command.hpp>

#include <string>
#include <string_view>

namespace SUBPROC_NAMESPACE::detail {

/// Whether a path depends on no working directory: it names a drive and starts at its root, or a
/// share.
bool is_absolute(std::wstring_view path) noexcept;

/// The absolute path in the form that any length of it may have.
std::wstring extended_path(std::wstring path);

/// The absolute path of the file that the command runs. Throws spawn_error of step exec.
///
/// A name with a separator or drive is a path, from the child's working directory when it is
/// relative. Another is looked for in the absolute folders of the child's PATH, in order; the
/// working directory is no part of that, whatever PATH says. Each name is tried as it is when it
/// has an ending, then with each of PATHEXT; a path also without any. Directories are passed over.
std::wstring find_program(const command& cmd);

} // namespace subproc::detail
