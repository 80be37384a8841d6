#pragma once

#include <subproc/launcher.hpp>

#include <cstddef>
#include <memory>

namespace SUBPROC_NAMESPACE::detail {

class sink_writer;

/// Where a tee passes output on to: a handle of our own. What may block, all but a file on a disk,
/// is written by a thread of the sink's.
class output_sink {
public:
  /// None.
  output_sink() = default;

  /// Throws spawn_error.
  explicit output_sink(unique_handle handle);

  explicit operator bool() const noexcept { return writer_ != nullptr; }

  /// Signalled while the sink can be written. For wait_ready and for a loop.
  native_handle_type handle() const noexcept;
  native_handle_type event_handle() const noexcept { return handle(); }

  /// As detail::write_some, but that it tells of bytes once they have been written: after
  /// would_block the same bytes have to come again.
  std::size_t write_some(const void* data, std::size_t size, error_code& ec) const noexcept;

private:
  std::shared_ptr<sink_writer> writer_;
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
