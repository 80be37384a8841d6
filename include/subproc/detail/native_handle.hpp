#pragma once

#include <subproc/detail/export.hpp>

namespace SUBPROC_NAMESPACE {

/// What the operating system calls an open thing: a descriptor on POSIX, a HANDLE on Windows.
#if defined(_WIN32)
using native_handle_type = void*;
#else
using native_handle_type = int;
#endif

namespace detail {
inline const native_handle_type invalid_handle = (native_handle_type)(-1);
}

/// A process identifier as the operating system gives it.
using pid_type = int;

} // namespace subproc
