#pragma once

#include "wait_object.hpp"

#include <asio/windows/object_handle.hpp>

#include <optional>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {

/// Waits on a loop until a borrowed handle can be read or written: until an object is signalled,
/// whose duplicate it owns. One wait at a time.
class readiness {
public:
  readiness() = default;
  readiness(const readiness&) = delete;
  readiness& operator=(const readiness&) = delete;
  ~readiness() { reset(); }

  /// Makes the loop open what it needs for waits and timers. Throws system_error.
  static void prepare(const asio::any_io_executor& executor) {
    const asio::windows::object_handle opens_all(executor);
  }

  /// Calls handler(error_code), never from inside this function.
  template <class Handler>
  void async_wait(const asio::any_io_executor& executor, native_handle_type handle, bool,
                  Handler&& handler) {
    if (!object_) {
      error_code ec;
      const native_handle_type duplicate = duplicate_wait_object(handle, ec);
      if (!ec) {
        object_.emplace(executor);
        object_->assign(duplicate, ec);
      }
      if (ec) {
        object_.reset();
        asio::post(executor, [h = std::forward<Handler>(handler), ec]() mutable { h(ec); });
        return;
      }
    }
    watch(handle);
    object_->async_wait(std::forward<Handler>(handler));
  }

  /// Ends a pending wait with asio::error::operation_aborted.
  void cancel() noexcept {
    if (object_) {
      error_code ignored;
      object_->cancel(ignored);
    }
  }

  /// Takes the handle off the loop.
  void reset() noexcept { object_.reset(); }

private:
  std::optional<asio::windows::object_handle> object_;
};

} // namespace subproc::detail
