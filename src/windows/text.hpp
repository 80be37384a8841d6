#pragma once

#include <subproc/detail/export.hpp>

#include <string>
#include <string_view>

namespace SUBPROC_NAMESPACE::detail {

/// UTF-8 as UTF-16 and back: UTF-8 is what the library's face speaks, UTF-16 what Windows does.
/// Throws system_error (illegal_byte_sequence) for what is no text: a form that is too long, half a
/// character, a surrogate.
std::wstring to_wide(std::string_view utf8);
std::string to_utf8(std::wstring_view text);

} // namespace subproc::detail
