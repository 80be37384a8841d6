#pragma once

#include "writable_event.hpp"

#include <subproc/launcher.hpp>

#include <cstddef>
#include <memory>

namespace SUBPROC_NAMESPACE::detail {

/// Where a tee passes output on to: a descriptor of our own, written without blocking, without
/// SIGPIPE, and without a change to the flags of the open file behind it.
class output_sink {
public:
  /// None.
  output_sink() = default;

  /// `alone`: the open file has no other owner, and does not block. Throws spawn_error.
  output_sink(unique_handle handle, bool alone);

  explicit operator bool() const noexcept { return static_cast<bool>(handle_); }

  /// For wait_ready.
  native_handle_type handle() const noexcept { return handle_.get(); }

  /// Can be read while the sink can be written. A loop that is given the sink itself may change its
  /// flags (Asio 1.22.1 does).
  native_handle_type event_handle() const noexcept {
    return event_ ? event_->handle() : invalid_handle;
  }

  /// As detail::write_some.
  std::size_t write_some(const void* data, std::size_t size, error_code& ec) const noexcept;

private:
  void wait_for_room() const noexcept;

  enum class kind : unsigned char {
    direct, ///< does not block, or is a file on a disk
    socket,
    look_first,
  };

  unique_handle handle_;
  std::unique_ptr<writable_event> event_;
  kind kind_ = kind::direct;
};

/// The sinks of a command's streams, none where there is no tee. Throws spawn_error; the command
/// was checked before.
struct output_sinks {
  output_sinks() = default;
  explicit output_sinks(const command& cmd);

  output_sink out;
  output_sink err;
};

} // namespace subproc::detail
