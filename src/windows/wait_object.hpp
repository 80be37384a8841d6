#pragma once

#include <subproc/detail/asio.hpp>
#include <subproc/detail/native_handle.hpp>

namespace SUBPROC_NAMESPACE::detail {

/// A duplicate of what is signalled while a handle is ready: the event of a pipe, else the handle
/// itself. Null with an error.
native_handle_type duplicate_wait_object(native_handle_type handle, error_code& ec) noexcept;

/// Makes that object tell of what comes from now on. Before each wait.
void watch(native_handle_type handle) noexcept;

} // namespace subproc::detail
