#pragma once

#include <subproc/command.hpp>

#include <string>

namespace SUBPROC_NAMESPACE::detail {

/// An argument or path in UTF-16. Throws spawn_error (invalid_argument) that names the option and
/// the text when that is no UTF-8.
std::wstring wide_option(const char* option, const std::string& what, const std::string& text);

/// The arguments as one line that a program takes apart into the same ones. Throws spawn_error.
std::wstring program_line(const command& cmd);

/// What cmd.exe is told in order to run a batch file at `path`. Throws spawn_error for arguments
/// that are not safe there, unless the command trusts them.
std::wstring batch_line(const command& cmd, const std::wstring& interpreter,
                        const std::wstring& path);

/// What cmd.exe is told in order to run the script of a shell(). Throws spawn_error.
std::wstring shell_line(const command& cmd, const std::wstring& interpreter);

} // namespace subproc::detail
