#pragma once

#include <subproc/detail/export.hpp>

#include <string>

namespace SUBPROC_NAMESPACE::detail {

/// An exit code as a message shows it, defined by the platform: the number, but one by which
/// Windows says that a program was ended is "0xC0000005 (access violation)".
std::string shown_code(long long code);

} // namespace subproc::detail
