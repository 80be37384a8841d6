#pragma once

#include <subproc/detail/asio.hpp>
#include <subproc/detail/native_handle.hpp>

#include <asio/posix/stream_descriptor.hpp>

#include <optional>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {

/// Waits on a loop until a borrowed descriptor can be read or written. One wait at a time.
class readiness {
public:
  readiness() = default;
  readiness(const readiness&) = delete;
  readiness& operator=(const readiness&) = delete;
  ~readiness() { reset(); }

  /// Makes the loop open what it needs for waits and timers. Throws system_error.
  static void prepare(const asio::any_io_executor& executor) {
    const asio::posix::stream_descriptor opens_all(executor);
  }

  /// Calls handler(error_code), never from inside this function.
  template <class Handler>
  void async_wait(const asio::any_io_executor& executor, native_handle_type handle, bool for_write,
                  Handler&& handler) {
    if (!descriptor_) {
      descriptor_.emplace(executor);
      error_code ec;
      descriptor_->assign(handle, ec);
      if (ec) {
        descriptor_.reset();
        asio::post(executor, [h = std::forward<Handler>(handler), ec]() mutable { h(ec); });
        return;
      }
    }
    using wait = asio::posix::descriptor_base::wait_type;
    descriptor_->async_wait(for_write ? wait::wait_write : wait::wait_read,
                            std::forward<Handler>(handler));
  }

  /// Ends a pending wait with asio::error::operation_aborted.
  void cancel() noexcept {
    if (descriptor_) {
      error_code ignored;
      descriptor_->cancel(ignored);
    }
  }

  /// Takes the descriptor off the loop. It must come before the close: Asio closes without
  /// EPOLL_CTL_DEL, and a copy that a child still holds would keep the entry alive.
  void reset() noexcept {
    if (descriptor_) {
      descriptor_->release();
      descriptor_.reset();
    }
  }

private:
  std::optional<asio::posix::stream_descriptor> descriptor_;
};

} // namespace subproc::detail
