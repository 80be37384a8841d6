#pragma once

#include <subproc/launcher.hpp>

namespace SUBPROC_NAMESPACE::detail {

/// An open file of our own behind the same pipe or terminal, not blocking: the flags of the
/// caller's, which others share, stay as they are. Empty for what has no second door (a socket, a
/// device whose every open is another one, such as a pty's master) and where it is refused.
unique_handle open_anew(int descriptor) noexcept;

} // namespace subproc::detail
