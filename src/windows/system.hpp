#pragma once

#include <subproc/detail/asio.hpp>

#include <memory>
#include <system_error>

#include <windows.h>

namespace SUBPROC_NAMESPACE::detail {

struct handle_closer {
  void operator()(void* handle) const noexcept { ::CloseHandle(handle); }
};

/// A handle that nobody outside sees; null is none.
using owned_handle = std::unique_ptr<void, handle_closer>;

/// INVALID_HANDLE_VALUE, with which CreateFileW fails, is none too.
inline owned_handle own(HANDLE handle) noexcept {
  return owned_handle(handle == INVALID_HANDLE_VALUE ? nullptr : handle);
}

inline error_code system_error_of(unsigned long number) noexcept {
  return {static_cast<int>(number), detail::system_category()};
}

/// For spawn errors and results: it compares with std::errc.
inline error_code last_error() noexcept { return system_error_of(::GetLastError()); }

} // namespace subproc::detail
