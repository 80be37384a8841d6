#pragma once

#include <subproc/detail/asio.hpp>
#include <subproc/detail/core.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace SUBPROC_NAMESPACE {

namespace detail {

/// The body behind a public object, for operations that are functions of their own.
struct access {
  template <class Object>
  static const core_ptr& core(const Object& object) noexcept {
    return object.core_;
  }
  template <class Pipe>
  static stream_id stream(const Pipe& pipe) noexcept {
    return pipe.stream_;
  }
};

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
  /// communicate runs, this and close() have no effect. What was read ahead is not in the
  /// descriptor any more: `buffered()` lends it, before and after.
  unique_handle release() noexcept { return detail::release_stream(core_, stream_); }

  /// Closes this end and drops what was read ahead. Pending operations end with
  /// asio::error::operation_aborted.
  void close() noexcept { detail::close(core_, stream_); }

  /// Ends pending operations of this pipe with asio::error::operation_aborted.
  void cancel() noexcept { detail::cancel(core_, stream_); }

protected:
  friend access;

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
/// so that `asio::async_read` and the like work on it, and a reader of lines.
///
/// Reading by lines reads ahead: up to 64 KiB more than the limit of a line, and no further, so
/// that a child whose output nobody takes is held back by its pipe. What was read ahead is served
/// first to every other way of reading, communicate too; poll(2) does not see it, `buffered()`
/// does. An error, a cancellation and a time-out take nothing.
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
        detail::initiation(
            this->executor_,
            [core = this->core_, stream = this->stream_,
             buffer](auto&& handler, asio::cancellation_slot slot, const auto& ex) {
              error_code ec;
              std::size_t n = 0;
              if (detail::read_some_now(core, stream, buffer.data(), buffer.size(), ec, n)) {
                detail::post_completion(std::forward<decltype(handler)>(handler), ex, ec, n);
              } else {
                detail::async_read_some(core, stream, buffer.data(), buffer.size(), slot,
                                        {std::forward<decltype(handler)>(handler), ex});
              }
            }),
        token);
  }

  /// Reads some bytes, blocking this thread (never running the loop) until there are any.
  template <class MutableBufferSequence>
  std::size_t read_some(const MutableBufferSequence& buffers, error_code& ec) {
    const auto buffer = this->template first_buffer<asio::mutable_buffer>(buffers);
    return detail::read_some(this->core_, this->stream_, buffer.data(), buffer.size(), ec);
  }

  /// The same; throws system_error.
  template <class MutableBufferSequence>
  std::size_t read_some(const MutableBufferSequence& buffers) {
    error_code ec;
    const std::size_t n = read_some(buffers, ec);
    if (ec) {
      throw system_error(ec, "read_some");
    }
    return n;
  }

  /// What was read ahead, lent until the next operation on this pipe.
  std::string_view buffered() const noexcept {
    return detail::buffered(this->core_, this->stream_);
  }

  /// Reads a line and gives it without its end, which is `\n` or `\r\n`.
  /**
   * Bytes are bytes: NUL, invalid UTF-8 and a lone `\r` are part of the line. The last line need
   * not have an end; after it comes asio::error::eof. The handler is called exactly once: when
   * there is a line, at the end of the file, after an error, a cancellation or the destruction of
   * the process object.
   * @par Completion signature @code void(error_code ec, std::string line) @endcode
   * @par Errors asio::error::not_found: the line is longer than the limit (64 KiB). It stays
   * buffered: a larger limit, async_read_line_piece or async_read_some go on with it.
   * asio::error::eof, errc::operation_pending, asio::error::bad_descriptor (not piped or closed),
   * any error of read(2).
   * @par Per-operation cancellation terminal, partial, total: no byte is lost, the child is not
   * touched.
   * @par Executor the handler's, else the process's; never called from inside this function.
   * @par Object lifetime the process object may be moved; destroying it ends the operation.
   */
  template <asio::completion_token_for<void(error_code, std::string)> ReadToken =
                asio::default_completion_token_t<Executor>>
  auto async_read_line(ReadToken&& token = asio::default_completion_token_t<Executor>()) {
    return async_read_line(default_line_limit, std::forward<ReadToken>(token));
  }

  /// The same with the most bytes that a line may have, its end not counted.
  template <asio::completion_token_for<void(error_code, std::string)> ReadToken =
                asio::default_completion_token_t<Executor>>
  auto async_read_line(std::size_t limit,
                       ReadToken&& token = asio::default_completion_token_t<Executor>()) {
    return initiate_string({detail::text_kind::line, limit}, std::forward<ReadToken>(token));
  }

  /// Reads a line, or the next part of one that is longer than the limit: `goes_on` tells which.
  /**
   * A part is as long as the limit, but for the last, and never empty. Put together the parts are
   * the line. Otherwise as async_read_line, without asio::error::not_found.
   * @param limit bytes, not 0 (std::errc::invalid_argument).
   * @par Completion signature @code void(error_code ec, line_piece piece) @endcode
   */
  template <asio::completion_token_for<void(error_code, line_piece)> ReadToken =
                asio::default_completion_token_t<Executor>>
  auto async_read_line_piece(std::size_t limit,
                             ReadToken&& token = asio::default_completion_token_t<Executor>()) {
    return asio::async_initiate<ReadToken, void(error_code, line_piece)>(
        detail::initiation(this->executor_,
                           [core = this->core_, stream = this->stream_,
                            limit](auto&& handler, asio::cancellation_slot slot, const auto& ex) {
                             start_text(core, stream, {detail::text_kind::piece, limit}, slot, ex,
                                        std::forward<decltype(handler)>(handler));
                           }),
        token);
  }

  /// Reads up to a delimiter and gives all with it.
  /**
   * As async_read_line, but for the end of the file: asio::error::eof comes with a copy of what is
   * left, which stays buffered.
   * @param delimiter not empty (std::errc::invalid_argument).
   * @par Completion signature @code void(error_code ec, std::string text) @endcode
   */
  template <asio::completion_token_for<void(error_code, std::string)> ReadToken =
                asio::default_completion_token_t<Executor>>
  auto async_read_until(std::string delimiter,
                        ReadToken&& token = asio::default_completion_token_t<Executor>()) {
    return async_read_until(std::move(delimiter), default_line_limit,
                            std::forward<ReadToken>(token));
  }

  /// The same with the most bytes that may come before the delimiter.
  template <asio::completion_token_for<void(error_code, std::string)> ReadToken =
                asio::default_completion_token_t<Executor>>
  auto async_read_until(std::string delimiter, std::size_t limit,
                        ReadToken&& token = asio::default_completion_token_t<Executor>()) {
    return initiate_string({detail::text_kind::until, limit, std::move(delimiter)},
                           std::forward<ReadToken>(token));
  }

  /// The same, blocking this thread and never running the loop. Those without an error_code throw
  /// system_error, at the end of the file too.
  std::string read_line(std::size_t limit, error_code& ec) {
    return read_text({detail::text_kind::line, limit}, ec).text;
  }
  std::string read_line(error_code& ec) { return read_line(default_line_limit, ec); }
  std::string read_line(std::size_t limit = default_line_limit) {
    return checked("read_line", [&](error_code& ec) { return read_line(limit, ec); });
  }

  line_piece read_line_piece(std::size_t limit, error_code& ec) {
    return read_text({detail::text_kind::piece, limit}, ec);
  }
  line_piece read_line_piece(std::size_t limit) {
    return checked("read_line_piece", [&](error_code& ec) { return read_line_piece(limit, ec); });
  }

  std::string read_until(std::string delimiter, std::size_t limit, error_code& ec) {
    return read_text({detail::text_kind::until, limit, std::move(delimiter)}, ec).text;
  }
  std::string read_until(std::string delimiter, error_code& ec) {
    return read_until(std::move(delimiter), default_line_limit, ec);
  }
  std::string read_until(std::string delimiter, std::size_t limit = default_line_limit) {
    return checked("read_until",
                   [&](error_code& ec) { return read_until(std::move(delimiter), limit, ec); });
  }

private:
  line_piece read_text(const detail::text_request& wanted, error_code& ec) {
    return detail::read_text(this->core_, this->stream_, wanted, ec);
  }

  template <class Read>
  static auto checked(const char* what, Read read) {
    error_code ec;
    auto result = read(ec);
    if (ec) {
      throw system_error(ec, what);
    }
    return result;
  }

  template <class IoExecutor, class Handler>
  static void start_text(const detail::core_ptr& core, detail::stream_id stream,
                         detail::text_request wanted, asio::cancellation_slot slot,
                         const IoExecutor& ex, Handler handler) {
    error_code ec;
    line_piece piece;
    if (detail::read_text_now(core, stream, wanted, ec, piece)) {
      detail::post_completion(std::move(handler), ex, ec, std::move(piece));
    } else {
      detail::async_read_text(core, stream, std::move(wanted), slot, {std::move(handler), ex});
    }
  }

  template <class ReadToken>
  auto initiate_string(detail::text_request wanted, ReadToken&& token) {
    return asio::async_initiate<ReadToken, void(error_code, std::string)>(
        detail::initiation(this->executor_,
                           [core = this->core_,
                            stream = this->stream_](auto&& handler, asio::cancellation_slot slot,
                                                    const auto& ex, detail::text_request what) {
                             detail::adapted_handler adapted{
                                 std::forward<decltype(handler)>(handler),
                                 [](auto&& h, error_code ec, line_piece piece) {
                                   std::forward<decltype(h)>(h)(ec, std::move(piece.text));
                                 }};
                             start_text(core, stream, std::move(what), slot, ex,
                                        std::move(adapted));
                           }),
        token, std::move(wanted));
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
        detail::initiation(
            this->executor_,
            [core = this->core_, buffer](auto&& handler, asio::cancellation_slot slot,
                                         const auto& ex) {
              error_code ec;
              std::size_t n = 0;
              if (detail::write_some_now(core, buffer.data(), buffer.size(), ec, n)) {
                detail::post_completion(std::forward<decltype(handler)>(handler), ex, ec, n);
              } else {
                detail::async_write_some(core, buffer.data(), buffer.size(), slot,
                                         {std::forward<decltype(handler)>(handler), ex});
              }
            }),
        token);
  }

  /// Writes some bytes, blocking this thread (never running the loop) until there is room.
  template <class ConstBufferSequence>
  std::size_t write_some(const ConstBufferSequence& buffers, error_code& ec) {
    const auto buffer = this->template first_buffer<asio::const_buffer>(buffers);
    return detail::write_some(this->core_, buffer.data(), buffer.size(), ec);
  }

  /// The same; throws system_error.
  template <class ConstBufferSequence>
  std::size_t write_some(const ConstBufferSequence& buffers) {
    error_code ec;
    const std::size_t n = write_some(buffers, ec);
    if (ec) {
      throw system_error(ec, "write_some");
    }
    return n;
  }
};

using readable_pipe = basic_readable_pipe<>;
using writable_pipe = basic_writable_pipe<>;

} // namespace subproc
