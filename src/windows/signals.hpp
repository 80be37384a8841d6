#pragma once

#include <subproc/detail/export.hpp>

namespace SUBPROC_NAMESPACE::detail {

// What can be sent to a child; the numbers are those of <csignal> there, but for SIGKILL, which it
// lacks.
inline constexpr int sigint = 2;
inline constexpr int sigkill = 9;
inline constexpr int sigterm = 15;
inline constexpr int sigbreak = 21;

} // namespace subproc::detail
