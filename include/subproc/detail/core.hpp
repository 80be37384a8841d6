#pragma once

#include <subproc/command.hpp>
#include <subproc/detail/any_handler.hpp>
#include <subproc/detail/export.hpp>
#include <subproc/error.hpp>
#include <subproc/launcher.hpp>
#include <subproc/result.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace subproc::detail {

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
SUBPROC_API void async_read_some(const core_ptr& core, stream_id stream, void* data,
                                 std::size_t size, asio::cancellation_slot slot,
                                 io_handler handler);
SUBPROC_API void async_write_some(const core_ptr& core, const void* data, std::size_t size,
                                  asio::cancellation_slot slot, io_handler handler);
SUBPROC_API std::size_t read_some(const core_ptr& core, stream_id stream, void* data,
                                  std::size_t size, error_code& ec);
SUBPROC_API std::size_t write_some(const core_ptr& core, const void* data, std::size_t size,
                                   error_code& ec);

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
