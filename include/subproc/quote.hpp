#pragma once

#include <subproc/detail/export.hpp>

#include <span>
#include <string>
#include <string_view>

namespace subproc {

/// One word for a POSIX shell, as Python's shlex.quote: unchanged if all bytes are of
/// `A-Za-z0-9_@%+=:,./-`, else in single quotes. Throws std::system_error (invalid_argument) for a
/// NUL byte, which no shell can take.
SUBPROC_API std::string quote(std::string_view word);

/// The quoted words with a space between, as Python's shlex.join.
SUBPROC_API std::string join(std::span<const std::string> words);

} // namespace subproc
