#pragma once

#include <subproc/launcher.hpp>

#include <cstddef>

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
  native_handle_type writable_event() const noexcept { return event_.get(); }

  /// As detail::write_some.
  std::size_t write_some(const void* data, std::size_t size, error_code& ec) const noexcept;

private:
  enum class kind : unsigned char {
    direct, ///< does not block, or is a file on a disk
    socket,
    look_first,
  };

  unique_handle handle_;
  unique_handle event_;
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
