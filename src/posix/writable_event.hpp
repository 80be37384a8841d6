#pragma once

#include <subproc/launcher.hpp>

namespace SUBPROC_NAMESPACE::detail {

/// A handle that can be read while `handle` can be written. Empty for what has no such state;
/// throws spawn_error when there is no descriptor left.
unique_handle open_writable_event(native_handle_type handle);

} // namespace subproc::detail
