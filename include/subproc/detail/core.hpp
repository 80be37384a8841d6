#pragma once

#include <subproc/command.hpp>
#include <subproc/detail/any_handler.hpp>
#include <subproc/detail/export.hpp>
#include <subproc/error.hpp>
#include <subproc/launcher.hpp>
#include <subproc/line_piece.hpp>
#include <subproc/result.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

/// The compiled body of a process; see src/process_core.hpp.
class process_core;
using core_ptr = std::shared_ptr<process_core>;

enum class run_kind : unsigned char { run, call, check_call, check_output };

/// How to stop: as the command says, with a grace, in steps.
using stop_way = std::variant<std::monostate, duration, std::vector<stop_step>>;

enum class stream_id : unsigned char { in, out, err };

using spawn_handler = any_handler<void(std::exception_ptr, core_ptr)>;
using run_handler = any_handler<void(std::exception_ptr, completed_process)>;
using wait_handler = any_handler<void(error_code, exit_status)>;
using communicate_handler = any_handler<void(error_code, communicate_result)>;
using stop_handler = any_handler<void(error_code, stop_result)>;
using io_handler = any_handler<void(error_code, std::size_t)>;
using text_handler = any_handler<void(error_code, line_piece)>;
using lines_handler = any_handler<void()>;

enum class text_kind : unsigned char { line, piece, until };

/// What is to be read: a line, a line in pieces of the limit, all up to a delimiter.
struct text_request {
  text_kind kind = text_kind::line;
  std::size_t limit = default_line_limit;
  std::string delimiter = "\n";
};

/// The state of an operation that reads whole streams by lines; see src/process_lines.cpp.
class line_source;
using line_source_ptr = std::shared_ptr<line_source>;

/// A line that was taken; the text lives until the next one is.
struct taken_line {
  stream_id stream;
  std::string_view text;
  bool goes_on;
};

SUBPROC_API core_ptr start(const asio::any_io_executor& executor, command&& cmd);
SUBPROC_API void async_start(const asio::any_io_executor& executor, command&& cmd,
                             asio::cancellation_slot slot, spawn_handler handler);
SUBPROC_API void async_run(const asio::any_io_executor& executor, command&& cmd, run_kind kind,
                           asio::cancellation_slot slot, run_handler handler);

/// What a process object that goes away does; null is fine.
SUBPROC_API void drop(core_ptr core) noexcept;

SUBPROC_API void async_wait(const core_ptr& core, std::optional<duration> limit,
                            asio::cancellation_slot slot, wait_handler handler);
SUBPROC_API void async_communicate(const core_ptr& core, std::string input,
                                   std::optional<duration> limit, asio::cancellation_slot slot,
                                   communicate_handler handler);
SUBPROC_API void async_stop(const core_ptr& core, stop_way how, asio::cancellation_slot slot,
                            stop_handler handler);

SUBPROC_API exit_status wait(const core_ptr& core, std::optional<duration> limit);
SUBPROC_API communicate_result communicate(const core_ptr& core, std::string input,
                                           std::optional<duration> limit);
SUBPROC_API stop_result stop(const core_ptr& core, stop_way how);
SUBPROC_API stop_result stop(const core_ptr& core, stop_way how, error_code& ec);
SUBPROC_API std::optional<exit_status> poll(const core_ptr& core) noexcept;
SUBPROC_API error_code send_signal(const core_ptr& core, int number) noexcept;

/// The state as it is known now, without looking for an exit, and without output.
SUBPROC_API completed_process known_result(const core_ptr& core);
SUBPROC_API std::optional<exit_status> known_status(const core_ptr& core) noexcept;
SUBPROC_API const command& command_of(const core_ptr& core);
SUBPROC_API std::string text_of(const core_ptr& core);
SUBPROC_API pid_type pid(const core_ptr& core) noexcept;
SUBPROC_API native_handle_type exit_handle(const core_ptr& core) noexcept;
SUBPROC_API std::string_view captured(const core_ptr& core, stream_id stream);
SUBPROC_API unique_handle release(core_ptr core);
SUBPROC_API void detach(core_ptr core);

SUBPROC_API bool is_open(const core_ptr& core, stream_id stream) noexcept;
SUBPROC_API native_handle_type handle(const core_ptr& core, stream_id stream) noexcept;
SUBPROC_API unique_handle release_stream(const core_ptr& core, stream_id stream) noexcept;
SUBPROC_API void close(const core_ptr& core, stream_id stream) noexcept;
SUBPROC_API void cancel(const core_ptr& core, stream_id stream) noexcept;
/// What an operation gives at once; false when it has to wait, by the asynchronous form below.
SUBPROC_API bool read_some_now(const core_ptr& core, stream_id stream, void* data, std::size_t size,
                               error_code& ec, std::size_t& n);
SUBPROC_API bool write_some_now(const core_ptr& core, const void* data, std::size_t size,
                                error_code& ec, std::size_t& n);
SUBPROC_API bool read_text_now(const core_ptr& core, stream_id stream, const text_request& wanted,
                               error_code& ec, line_piece& piece);

SUBPROC_API void async_read_some(const core_ptr& core, stream_id stream, void* data,
                                 std::size_t size, asio::cancellation_slot slot,
                                 io_handler handler);
SUBPROC_API void async_write_some(const core_ptr& core, const void* data, std::size_t size,
                                  asio::cancellation_slot slot, io_handler handler);
SUBPROC_API std::size_t read_some(const core_ptr& core, stream_id stream, void* data,
                                  std::size_t size, error_code& ec);
SUBPROC_API std::size_t write_some(const core_ptr& core, const void* data, std::size_t size,
                                   error_code& ec);

SUBPROC_API void async_read_text(const core_ptr& core, stream_id stream, text_request wanted,
                                 asio::cancellation_slot slot, text_handler handler);
SUBPROC_API line_piece read_text(const core_ptr& core, stream_id stream, const text_request& wanted,
                                 error_code& ec);
SUBPROC_API std::string_view buffered(const core_ptr& core, stream_id stream) noexcept;

/// Takes those of the streams `first` to `last` that are piped for one operation, until the result
/// goes. What is wrong is told by end_of_lines().
SUBPROC_API line_source_ptr open_lines(const core_ptr& core, stream_id first, stream_id last,
                                       text_request wanted, asio::cancellation_slot slot);
/// Completes when there is a line to be taken, or the operation is over.
SUBPROC_API void wait_for_lines(const line_source_ptr& lines, lines_handler handler);
/// Takes a line that is there.
SUBPROC_API std::optional<taken_line> take_line(const line_source_ptr& lines);
/// Whether the operation is over, and with what.
SUBPROC_API std::optional<error_code> end_of_lines(const line_source_ptr& lines) noexcept;
SUBPROC_API void close_lines(const line_source_ptr& lines) noexcept;

/// A handler in the place of another: the function gets that one and the arguments. All associators
/// are the handler's.
template <class Handler, class Function>
struct adapted_handler {
  Handler handler;
  Function function;

  template <class... Args>
  void operator()(Args&&... args) {
    function(std::move(handler), std::forward<Args>(args)...);
  }
};

template <class Handler, class Function>
adapted_handler(Handler&&, Function) -> adapted_handler<std::decay_t<Handler>, Function>;

/// The initiation of an operation: what Asio needs to know of it is its executor.
template <class Executor, class Start>
class initiation {
public:
  using executor_type = Executor;

  initiation(const Executor& executor, Start start)
      : executor_(executor), start_(std::move(start)) {}

  executor_type get_executor() const noexcept { return executor_; }

  template <class Handler, class... Args>
  void operator()(Handler&& handler, Args&&... args) {
    asio::cancellation_slot slot = asio::get_associated_cancellation_slot(handler);
    start_(std::forward<Handler>(handler), slot, executor_, std::forward<Args>(args)...);
  }

private:
  Executor executor_;
  Start start_;
};

template <class Executor, class Start>
initiation(const Executor&, Start) -> initiation<Executor, Start>;

} // namespace subproc::detail

template <template <class, class> class Associator, class Handler, class Function, class Default>
struct subproc::asio::associator<Associator, subproc::detail::adapted_handler<Handler, Function>,
                                 Default> : Associator<Handler, Default> {
  static auto get(const subproc::detail::adapted_handler<Handler, Function>& adapted) noexcept {
    return Associator<Handler, Default>::get(adapted.handler);
  }
  static auto get(const subproc::detail::adapted_handler<Handler, Function>& adapted,
                  const Default& fallback) noexcept {
    return Associator<Handler, Default>::get(adapted.handler, fallback);
  }
};
