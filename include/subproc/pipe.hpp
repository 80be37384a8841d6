#pragma once

#include <subproc/detail/asio.hpp>
#include <subproc/detail/core.hpp>

#include <cstddef>
#include <utility>

namespace subproc {

namespace detail {

/// What both kinds of pipe end have.
template <class Executor>
class pipe_end {
public:
  using executor_type = Executor;
  using native_handle_type = subproc::native_handle_type;

  pipe_end(const Executor& executor, core_ptr core, stream_id stream) noexcept
      : executor_(executor), core_(std::move(core)), stream_(stream) {}

  executor_type get_executor() const noexcept { return executor_; }

  /// False when the stream is not piped, or closed.
  bool is_open() const noexcept { return detail::is_open(core_, stream_); }

  /// The descriptor, which stays owned here; it does not block.
  native_handle_type native_handle() const noexcept { return detail::handle(core_, stream_); }

  /// Gives the descriptor away. Pending operations end with asio::error::operation_aborted. While
  /// communicate runs, this and close() have no effect.
  unique_handle release() noexcept { return detail::release_stream(core_, stream_); }

  /// Closes this end. Pending operations end with asio::error::operation_aborted.
  void close() noexcept { detail::close(core_, stream_); }

  /// Ends pending operations of this pipe with asio::error::operation_aborted.
  void cancel() noexcept { detail::cancel(core_, stream_); }

protected:
  template <class Buffer, class BufferSequence>
  static Buffer first_buffer(const BufferSequence& buffers) {
    const auto end = asio::buffer_sequence_end(buffers);
    for (auto it = asio::buffer_sequence_begin(buffers); it != end; ++it) {
      const Buffer buffer(*it);
      if (buffer.size() != 0) {
        return buffer;
      }
    }
    return {};
  }

  Executor executor_;
  core_ptr core_;
  stream_id stream_;
};

} // namespace detail

/// The caller's end of a child's stdout or stderr: an AsyncReadStream and SyncReadStream of Asio,
/// so that `asio::async_read`, `async_read_until` and the like work on it.
///
/// End-of-file is asio::error::eof. One read at a time; a second one, or one while communicate
/// runs, ends with errc::operation_pending.
/// Thread safety: distinct objects: safe. Shared objects: safe but for the one-read rule, and for
/// close and release while another thread blocks in read_some.
template <class Executor = asio::any_io_executor>
class basic_readable_pipe : public detail::pipe_end<Executor> {
public:
  using detail::pipe_end<Executor>::pipe_end;

  template <class Other>
  struct rebind_executor {
    using other = basic_readable_pipe<Other>;
  };

  /// Reads some bytes.
  /**
   * The handler is called exactly once: when bytes came, at the end of the file, after an error, a
   * cancellation or the destruction of the process object.
   * @param buffers where to; the memory stays the caller's and must live until the handler is
   * called.
   * @par Completion signature @code void(error_code ec, std::size_t bytes) @endcode
   * @par Errors asio::error::eof, errc::operation_pending, asio::error::bad_descriptor (not piped
   * or closed), any error of read(2).
   * @par Per-operation cancellation terminal, partial, total: no byte is lost, the child is not
   * touched.
   * @par Executor the handler's, else the process's; never called from inside this function.
   */
  template <class MutableBufferSequence, asio::completion_token_for<void(error_code, std::size_t)>
                                             ReadToken = asio::default_completion_token_t<Executor>>
  auto async_read_some(const MutableBufferSequence& buffers,
                       ReadToken&& token = asio::default_completion_token_t<Executor>()) {
    const auto buffer = this->template first_buffer<asio::mutable_buffer>(buffers);
    return asio::async_initiate<ReadToken, void(error_code, std::size_t)>(
        detail::initiation(this->executor_,
                           [core = this->core_, stream = this->stream_,
                            buffer](auto&& handler, asio::cancellation_slot slot, const auto& ex) {
                             detail::async_read_some(
                                 core, stream, buffer.data(), buffer.size(), slot,
                                 {std::forward<decltype(handler)>(handler), ex});
                           }),
        token);
  }

  /// Reads some bytes, blocking this thread (never running the loop) until there are any.
  template <class MutableBufferSequence>
  std::size_t read_some(const MutableBufferSequence& buffers, error_code& ec) {
    const auto buffer = this->template first_buffer<asio::mutable_buffer>(buffers);
    return detail::read_some(this->core_, this->stream_, buffer.data(), buffer.size(), ec);
  }

  /// The same; throws std::system_error.
  template <class MutableBufferSequence>
  std::size_t read_some(const MutableBufferSequence& buffers) {
    error_code ec;
    const std::size_t n = read_some(buffers, ec);
    if (ec) {
      throw std::system_error(ec, "read_some");
    }
    return n;
  }
};

/// The caller's end of a child's stdin: an AsyncWriteStream and SyncWriteStream of Asio.
///
/// A child that does not read gives asio::error::broken_pipe and never a SIGPIPE. One write at a
/// time. Thread safety: as basic_readable_pipe.
template <class Executor = asio::any_io_executor>
class basic_writable_pipe : public detail::pipe_end<Executor> {
public:
  using detail::pipe_end<Executor>::pipe_end;

  template <class Other>
  struct rebind_executor {
    using other = basic_writable_pipe<Other>;
  };

  /// Writes some bytes.
  /**
   * The handler is called exactly once: when bytes were written, after an error, a cancellation or
   * the destruction of the process object.
   * @param buffers what; the memory stays the caller's and must live until the handler is called.
   * @par Completion signature @code void(error_code ec, std::size_t bytes) @endcode
   * @par Errors asio::error::broken_pipe, errc::operation_pending, asio::error::bad_descriptor
   * (not piped or closed), any error of write(2).
   * @par Per-operation cancellation terminal, partial, total: nothing was written then, the child
   * is not touched.
   * @par Executor the handler's, else the process's; never called from inside this function.
   */
  template <class ConstBufferSequence, asio::completion_token_for<void(error_code, std::size_t)>
                                           WriteToken = asio::default_completion_token_t<Executor>>
  auto async_write_some(const ConstBufferSequence& buffers,
                        WriteToken&& token = asio::default_completion_token_t<Executor>()) {
    const auto buffer = this->template first_buffer<asio::const_buffer>(buffers);
    return asio::async_initiate<WriteToken, void(error_code, std::size_t)>(
        detail::initiation(this->executor_,
                           [core = this->core_,
                            buffer](auto&& handler, asio::cancellation_slot slot, const auto& ex) {
                             detail::async_write_some(
                                 core, buffer.data(), buffer.size(), slot,
                                 {std::forward<decltype(handler)>(handler), ex});
                           }),
        token);
  }

  /// Writes some bytes, blocking this thread (never running the loop) until there is room.
  template <class ConstBufferSequence>
  std::size_t write_some(const ConstBufferSequence& buffers, error_code& ec) {
    const auto buffer = this->template first_buffer<asio::const_buffer>(buffers);
    return detail::write_some(this->core_, buffer.data(), buffer.size(), ec);
  }

  /// The same; throws std::system_error.
  template <class ConstBufferSequence>
  std::size_t write_some(const ConstBufferSequence& buffers) {
    error_code ec;
    const std::size_t n = write_some(buffers, ec);
    if (ec) {
      throw std::system_error(ec, "write_some");
    }
    return n;
  }
};

using readable_pipe = basic_readable_pipe<>;
using writable_pipe = basic_writable_pipe<>;

} // namespace subproc
