#pragma once

#include "system.hpp"

#include <optional>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

/// A job object: a child and all that it starts, however deep. May be none.
class job {
public:
  job() = default;

  /// `ends_with_us`: all in it are terminated with its last handle, which is ours. Throws
  /// system_error.
  static job make(bool ends_with_us);

  explicit operator bool() const noexcept { return static_cast<bool>(handle_); }
  HANDLE get() const noexcept { return handle_.get(); }

  error_code terminate(unsigned code) noexcept;
  bool empty() const noexcept;
  std::vector<int> members() const;

  /// The handle goes without an effect on the members.
  void let_go() noexcept;
  /// The handle stays open as long as this process.
  void keep() noexcept;

private:
  owned_handle handle_;
};

} // namespace subproc::detail
