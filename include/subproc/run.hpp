#pragma once

#include <subproc/command.hpp>
#include <subproc/detail/asio.hpp>
#include <subproc/detail/core.hpp>
#include <subproc/error.hpp>
#include <subproc/exit_status.hpp>
#include <subproc/result.hpp>

#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace SUBPROC_NAMESPACE {

/// Runs a command to its end, blocking this thread: feeds `input()`, captures what is piped, waits.
///
/// Needs no loop and runs none; safe from several threads at once and inside a handler of a loop
/// (which it holds). Throws spawn_error; timeout_expired once `timeout()` or `deadline()` has
/// passed; called_process_error with `check()`; operation_error over a `limit()`. In each case the
/// child (and its group or session, if it leads one) is killed and reaped, and the exception
/// carries the whole result with the output so far.
SUBPROC_API completed_process run(const command& cmd);

/// Runs a command and returns its status. Nothing is captured; a piped stream is drained.
SUBPROC_API exit_status call(const command& cmd);

/// The same; throws called_process_error for a status that the command does not accept.
SUBPROC_API exit_status check_call(const command& cmd);

/// Runs a command and returns its stdout; throws called_process_error as check_call, with the
/// output.
/// `out()`, `capture_output()` and `check()` may not be given (std::errc::invalid_argument).
SUBPROC_API std::string check_output(command cmd);

/// Runs a script in the shell and returns stdout and stderr together, less one final newline, as
/// Python's subprocess.getstatusoutput.
SUBPROC_API std::pair<exit_status, std::string> getstatusoutput(std::string_view script);
SUBPROC_API std::string getoutput(std::string_view script);

namespace detail {

/// Turns the result of async_run into what the caller wants of it. All associators are the
/// handler's.
template <class Handler, class Value>
struct result_picker {
  Handler handler;
  Value completed_process::*member;

  void operator()(std::exception_ptr error, completed_process result) {
    std::move(handler)(std::move(error), std::move(result.*member));
  }
};

template <run_kind Kind, class Value, class Executor, class Token>
auto async_run_picking(const Executor& executor, command cmd, Value completed_process::*member,
                       Token&& token) {
  return asio::async_initiate<Token, void(std::exception_ptr, Value)>(
      initiation(
          executor,
          [member](auto&& handler, asio::cancellation_slot slot, const auto& ex, command what) {
            using handler_type = std::decay_t<decltype(handler)>;
            result_picker<handler_type, Value> picker{std::forward<decltype(handler)>(handler),
                                                      member};
            detail::async_run(ex, std::move(what), Kind, slot, {std::move(picker), ex});
          }),
      token, std::move(cmd));
}

} // namespace detail

/// Runs a command to its end on a loop; the start is made on a launcher thread.
/**
 * The handler is called exactly once, with a null pointer and the result, or with the exception
 * that run() would throw. With an error the result is there too, unless nothing was started.
 * @par Completion signature @code void(std::exception_ptr error, completed_process result) @endcode
 * @par Errors those of run(); operation_error with asio::error::operation_aborted when cancelled.
 * @par Per-operation cancellation terminal, partial, total: the child's scope is killed and reaped,
 * then the handler is called; `cancelled` is set and the output so far is in the result.
 * @par Executor the handler's, else the given one; never called from inside this function.
 */
template <detail::executor Executor,
          asio::completion_token_for<void(std::exception_ptr, completed_process)> RunToken =
              asio::default_completion_token_t<Executor>>
auto async_run(const Executor& executor, command cmd,
               RunToken&& token = asio::default_completion_token_t<Executor>()) {
  return asio::async_initiate<RunToken, void(std::exception_ptr, completed_process)>(
      detail::initiation(
          executor,
          [](auto&& handler, asio::cancellation_slot slot, const auto& ex, command what) {
            detail::async_run(ex, std::move(what), detail::run_kind::run, slot,
                              {std::forward<decltype(handler)>(handler), ex});
          }),
      token, std::move(cmd));
}

/// As async_run, completing with the status alone: void(std::exception_ptr, exit_status).
template <detail::executor Executor,
          asio::completion_token_for<void(std::exception_ptr, exit_status)> CallToken =
              asio::default_completion_token_t<Executor>>
auto async_call(const Executor& executor, command cmd,
                CallToken&& token = asio::default_completion_token_t<Executor>()) {
  return detail::async_run_picking<detail::run_kind::call>(
      executor, std::move(cmd), &completed_process::status, std::forward<CallToken>(token));
}

/// As async_call; a status that the command does not accept is a called_process_error.
template <detail::executor Executor,
          asio::completion_token_for<void(std::exception_ptr, exit_status)> CallToken =
              asio::default_completion_token_t<Executor>>
auto async_check_call(const Executor& executor, command cmd,
                      CallToken&& token = asio::default_completion_token_t<Executor>()) {
  return detail::async_run_picking<detail::run_kind::check_call>(
      executor, std::move(cmd), &completed_process::status, std::forward<CallToken>(token));
}

/// As async_check_call, completing with stdout: void(std::exception_ptr, std::string).
template <detail::executor Executor,
          asio::completion_token_for<void(std::exception_ptr, std::string)> OutputToken =
              asio::default_completion_token_t<Executor>>
auto async_check_output(const Executor& executor, command cmd,
                        OutputToken&& token = asio::default_completion_token_t<Executor>()) {
  return detail::async_run_picking<detail::run_kind::check_output>(
      executor, std::move(cmd), &completed_process::out, std::forward<OutputToken>(token));
}

template <detail::execution_context Context,
          asio::completion_token_for<void(std::exception_ptr, completed_process)> RunToken =
              asio::default_completion_token_t<typename Context::executor_type>>
auto async_run(
    Context& context, command cmd,
    RunToken&& token = asio::default_completion_token_t<typename Context::executor_type>()) {
  return async_run(context.get_executor(), std::move(cmd), std::forward<RunToken>(token));
}

template <detail::execution_context Context,
          asio::completion_token_for<void(std::exception_ptr, exit_status)> CallToken =
              asio::default_completion_token_t<typename Context::executor_type>>
auto async_call(
    Context& context, command cmd,
    CallToken&& token = asio::default_completion_token_t<typename Context::executor_type>()) {
  return async_call(context.get_executor(), std::move(cmd), std::forward<CallToken>(token));
}

template <detail::execution_context Context,
          asio::completion_token_for<void(std::exception_ptr, exit_status)> CallToken =
              asio::default_completion_token_t<typename Context::executor_type>>
auto async_check_call(
    Context& context, command cmd,
    CallToken&& token = asio::default_completion_token_t<typename Context::executor_type>()) {
  return async_check_call(context.get_executor(), std::move(cmd), std::forward<CallToken>(token));
}

template <detail::execution_context Context,
          asio::completion_token_for<void(std::exception_ptr, std::string)> OutputToken =
              asio::default_completion_token_t<typename Context::executor_type>>
auto async_check_output(
    Context& context, command cmd,
    OutputToken&& token = asio::default_completion_token_t<typename Context::executor_type>()) {
  return async_check_output(context.get_executor(), std::move(cmd),
                            std::forward<OutputToken>(token));
}

} // namespace subproc

template <template <class, class> class Associator, class Handler, class Value, class Default>
struct subproc::asio::associator<Associator, subproc::detail::result_picker<Handler, Value>,
                                 Default> : Associator<Handler, Default> {
  static auto get(const subproc::detail::result_picker<Handler, Value>& picker) noexcept {
    return Associator<Handler, Default>::get(picker.handler);
  }
  static auto get(const subproc::detail::result_picker<Handler, Value>& picker,
                  const Default& fallback) noexcept {
    return Associator<Handler, Default>::get(picker.handler, fallback);
  }
};
