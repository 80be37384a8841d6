#pragma once

#include <subproc/detail/export.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace SUBPROC_NAMESPACE::detail {

/// The number of bytes up to `end` that does not part a UTF-8 character.
std::size_t cut_before(std::string_view text, std::size_t end);

/// A name as a message shows it: in single quotes, control bytes escaped, long ones cut.
std::string shown(std::string_view name);

} // namespace subproc::detail
