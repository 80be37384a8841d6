#pragma once

#include "system.hpp"

#include <subproc/launcher.hpp>

namespace SUBPROC_NAMESPACE::detail {

/// Opens a file for a stream. Others may read, write and remove it meanwhile, as on POSIX. Throws
/// spawn_error.
owned_handle open_file(const file& what, bool for_reading, bool inheritable);

/// A duplicate of a handle of the caller's that is given as `option`. Throws spawn_error.
owned_handle duplicate_of(HANDLE handle, const char* option, bool inheritable);

/// The caller's own stream; null when there is none. `number`: 0, 1 or 2.
HANDLE own_stream(int number) noexcept;

} // namespace subproc::detail
