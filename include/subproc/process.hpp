#pragma once

#include <subproc/command.hpp>
#include <subproc/detail/asio.hpp>
#include <subproc/detail/core.hpp>
#include <subproc/error.hpp>
#include <subproc/exit_status.hpp>
#include <subproc/launcher.hpp>
#include <subproc/pipe.hpp>
#include <subproc/result.hpp>

#include <exception>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace SUBPROC_NAMESPACE {

/// Output that a process object holds, lent until its next operation.
struct captured_view {
  std::string_view out;
  std::string_view err;
};

/// A child that was given up: the caller now has to reap it. `handle` is the pidfd on Linux, empty
/// where there is none.
struct released_child {
  pid_type pid = -1;
  unique_handle handle;
};

/// A running (or ended) child as an Asio I/O object.
///
/// Exit, end-of-file and drain are separate events: async_wait completes at the exit, whoever still
/// holds the pipes. A watch counts as work of the loop only while somebody waits. Destroyed while
/// the child runs, it follows the command's drop policy on its scope and never blocks; pending
/// operations end with asio::error::operation_aborted, as those of any Asio object. The io_context
/// may be destroyed first: then the blocking members still work.
///
/// Moving is safe while operations are pending, but for composed ones on `in()`, `out()`, `err()`
/// (asio::async_read and so on), which refer to members. A moved-from object has no child:
/// asynchronous operations end with errc::no_child, blocking ones throw it.
/// Thread safety: distinct objects: safe. Shared objects: safe, except move and destruction.
template <class Executor = asio::any_io_executor>
class basic_process {
public:
  using executor_type = Executor;

  template <class Other>
  struct rebind_executor {
    using other = basic_process<Other>;
  };

  /// Starts the command. This blocks for as long as the start takes (some 100 microseconds, longer
  /// when the program sits on a stalled file system); async_spawn does not.
  /// Throws spawn_error; nothing is left behind then.
  basic_process(const executor_type& executor, command cmd)
      : basic_process(executor, detail::start(executor, std::move(cmd))) {}

  template <detail::execution_context Context>
  basic_process(Context& context, command cmd)
      : basic_process(context.get_executor(),
                      detail::start(context.get_executor(), std::move(cmd))) {}

  // The executor is copied: asynchronous operations of what is left behind still need one.
  basic_process(basic_process&& other) noexcept : basic_process(other.executor_, other.take()) {}

  basic_process& operator=(basic_process&& other) noexcept {
    if (this != &other) {
      detail::drop(std::move(core_));
      executor_ = other.executor_;
      core_ = other.take();
      in_ = {executor_, core_, detail::stream_id::in};
      out_ = {executor_, core_, detail::stream_id::out};
      err_ = {executor_, core_, detail::stream_id::err};
    }
    return *this;
  }

  /// From a process on another type of executor.
  template <class Other>
    requires std::convertible_to<Other, Executor> basic_process(basic_process<Other>&& other)
  noexcept : basic_process(Executor(other.get_executor()), std::move(other).take_core()) {}

  ~basic_process() { detail::drop(std::move(core_)); }

  executor_type get_executor() const noexcept { return executor_; }

  /// What was started.
  const command& get_command() const { return detail::command_of(core_); }
  const std::vector<std::string>& args() const { return get_command().args(); }

  /// The process id, readable after the exit too; -1 where there is none.
  pid_type pid() const noexcept { return detail::pid(core_); }

  /// The pidfd (Linux), owned here; invalid (-1) where there is none.
  native_handle_type native_handle() const noexcept { return detail::exit_handle(core_); }

  /// The status once an operation of this object has seen the exit; looks for nothing.
  std::optional<exit_status> status() const noexcept { return detail::known_status(core_); }
  /// The same in Python's form.
  std::optional<long long> returncode() const noexcept {
    const auto known = status();
    return known ? known->returncode() : std::nullopt;
  }

  /// What the child used; zero until its exit has been seen.
  resource_usage usage() const { return detail::known_result(core_).usage; }
  std::chrono::system_clock::time_point start_time() const {
    return detail::known_result(core_).start_time;
  }
  /// The epoch until the exit has been seen.
  std::chrono::system_clock::time_point end_time() const {
    return detail::known_result(core_).end_time;
  }
  launcher_kind launched_by() const { return detail::known_result(core_).launched_by; }

  /// The caller's pipe ends; closed when the stream is not piped.
  basic_writable_pipe<Executor>& in() noexcept { return in_; }
  basic_readable_pipe<Executor>& out() noexcept { return out_; }
  basic_readable_pipe<Executor>& err() noexcept { return err_; }

  /// Looks whether the child has ended, without blocking.
  std::optional<long long> poll() noexcept {
    detail::poll(core_);
    return returncode();
  }

  /// Waits for the exit, blocking this thread and never running the loop. Throws system_error.
  exit_status wait() { return detail::wait(core_, std::nullopt); }
  /// Throws timeout_expired when the child still runs then; it is left alone.
  exit_status wait(duration limit) { return detail::wait(core_, limit); }

  /// Waits for the child to exit.
  /**
   * Any number of waits may be pending, all get the same status; a child that has exited already
   * completes at once. Pipes do not matter: whoever holds them, the exit is the exit.
   * The handler is called exactly once: at the exit, after an error, a cancellation or the
   * destruction of the process object.
   * @par Completion signature @code void(error_code ec, exit_status status) @endcode
   * @par Errors errc::no_child. A status that somebody else has taken is the value "unknown", not
   * an error, and so is a non-zero exit.
   * @par Per-operation cancellation terminal, partial, total: the wait ends, the child is not
   * touched.
   * @par Executor the handler's, else the process's; never called from inside this function.
   * @par Object lifetime the object may be moved; destroying it ends the wait.
   */
  template <asio::completion_token_for<void(error_code, exit_status)> WaitToken =
                asio::default_completion_token_t<Executor>>
  auto async_wait(WaitToken&& token = asio::default_completion_token_t<Executor>()) {
    return initiate_wait(std::nullopt, std::forward<WaitToken>(token));
  }

  /// Waits for the child to exit, at most for `limit`, which is not an end of the child: then the
  /// error is asio::error::timed_out. All else as above.
  template <asio::completion_token_for<void(error_code, exit_status)> WaitToken =
                asio::default_completion_token_t<Executor>>
  auto async_wait(duration limit,
                  WaitToken&& token = asio::default_completion_token_t<Executor>()) {
    return initiate_wait(limit, std::forward<WaitToken>(token));
  }

  /// Feeds stdin and closes it, reads stdout and stderr to their ends, and waits for the exit.
  /**
   * All three at once, so that no size of anything can deadlock. The input is the command's
   * `input()` and the time-out its `timeout()`. The handler is called exactly once: when all that
   * is done, at the time-out, over the limit of a capture, after an error, a cancellation, or the
   * destruction of the process object. A child that finished in time is a success, however late the
   * loop was.
   * @par Preconditions no other communicate, read or write on the pipes is pending
   * (errc::operation_pending).
   * @par Completion signature @code void(error_code ec, communicate_result result) @endcode
   * @par Errors asio::error::timed_out, errc::output_limit: the child is left alone, what was read
   * stays here (`captured()` lends it, the result says how much), and the next communicate goes on
   * and returns all. errc::already_taken: the output was given out before. errc::no_child. A child
   * that does not read its input is no error.
   * @par Per-operation cancellation terminal, partial, total: as a time-out; no byte is lost.
   * @par Executor the handler's, else the process's; never called from inside this function.
   * @par Object lifetime the object may be moved; destroying it ends the operation.
   */
  template <asio::completion_token_for<void(error_code, communicate_result)> CommunicateToken =
                asio::default_completion_token_t<Executor>>
  auto async_communicate(CommunicateToken&& token = asio::default_completion_token_t<Executor>()) {
    return initiate_communicate({}, std::nullopt, std::forward<CommunicateToken>(token));
  }

  /// The same with an input. It replaces the command's; after a communicate that ended early there
  /// may be none (std::errc::invalid_argument).
  template <asio::completion_token_for<void(error_code, communicate_result)> CommunicateToken =
                asio::default_completion_token_t<Executor>>
  auto async_communicate(std::string input,
                         CommunicateToken&& token = asio::default_completion_token_t<Executor>()) {
    return initiate_communicate(std::move(input), std::nullopt,
                                std::forward<CommunicateToken>(token));
  }

  /// The same with an input and a time-out.
  template <asio::completion_token_for<void(error_code, communicate_result)> CommunicateToken =
                asio::default_completion_token_t<Executor>>
  auto async_communicate(std::string input, duration limit,
                         CommunicateToken&& token = asio::default_completion_token_t<Executor>()) {
    return initiate_communicate(std::move(input), limit, std::forward<CommunicateToken>(token));
  }

  /// The same, blocking this thread and never running the loop. Throws timeout_expired (with a copy
  /// of what is held), system_error for the other errors.
  communicate_result communicate(std::string input = {}) {
    return detail::communicate(core_, std::move(input), std::nullopt);
  }
  communicate_result communicate(std::string input, duration limit) {
    return detail::communicate(core_, std::move(input), limit);
  }

  /// What communicate has read so far and still holds, without a copy.
  captured_view captured() const {
    return {detail::captured(core_, detail::stream_id::out),
            detail::captured(core_, detail::stream_id::err)};
  }

  /// Sends a signal to the child alone. Nothing happens, without error, once it has ended; no other
  /// process is ever meant. 0 checks. Throws system_error (permission, invalid number).
  void send_signal(int number) {
    error_code ec;
    send_signal(number, ec);
    if (ec) {
      throw system_error(ec, "send_signal");
    }
  }
  void send_signal(int number, error_code& ec) noexcept { ec = detail::send_signal(core_, number); }

  /// SIGTERM, SIGKILL.
  void terminate();
  void kill();

  /// Stops the scope of the command: SIGTERM, up to `grace`, then SIGKILL.
  /**
   * The scope is the child, or its group or session when the command asked for one of its own. It
   * is over when the scope is empty, not when its leader is gone; after SIGKILL that is waited for
   * up to 5 seconds. A halted process is let go on, so that it sees the signal.
   * @par Completion signature @code void(error_code ec, stop_result result) @endcode
   * @par Errors errc::not_stopped: `result.survivors` names who is left (a process in an
   * uninterruptible sleep). errc::operation_pending, errc::no_child. What the system says of a
   * signal (permission), which ends the stop.
   * @par Per-operation cancellation terminal, partial, total: no further signal is sent.
   * @par Executor the handler's, else the process's; never called from inside this function.
   * @par Object lifetime the object may be moved; destroying it ends the operation.
   */
  template <asio::completion_token_for<void(error_code, stop_result)> StopToken =
                asio::default_completion_token_t<Executor>>
  auto async_stop(duration grace,
                  StopToken&& token = asio::default_completion_token_t<Executor>()) {
    return initiate_stop(grace, std::forward<StopToken>(token));
  }

  /// The same in steps of your own. It ends with the first that leaves the scope empty; after the
  /// last one whoever is left is named (errc::not_stopped), be it SIGKILL or not. Steps that
  /// command::stop_steps() would refuse are std::errc::invalid_argument, and nothing is sent.
  template <asio::completion_token_for<void(error_code, stop_result)> StopToken =
                asio::default_completion_token_t<Executor>>
  auto async_stop(std::vector<stop_step> steps,
                  StopToken&& token = asio::default_completion_token_t<Executor>()) {
    return initiate_stop(std::move(steps), std::forward<StopToken>(token));
  }

  /// The same in the steps of the command; without any, SIGTERM, up to 10 seconds, SIGKILL.
  template <asio::completion_token_for<void(error_code, stop_result)> StopToken =
                asio::default_completion_token_t<Executor>>
  auto async_stop(StopToken&& token = asio::default_completion_token_t<Executor>()) {
    return initiate_stop({}, std::forward<StopToken>(token));
  }

  /// The three, blocking this thread and never running the loop. Errors are those of async_stop, by
  /// exception (system_error, which names what is wrong with a step, or who survived) or in
  /// `ec`; errc::operation_pending while a stop is pending.
  stop_result stop() { return detail::stop(core_, {}); }
  stop_result stop(error_code& ec) { return detail::stop(core_, {}, ec); }
  stop_result stop(duration grace) { return detail::stop(core_, grace); }
  stop_result stop(duration grace, error_code& ec) { return detail::stop(core_, grace, ec); }
  stop_result stop(std::vector<stop_step> steps) { return detail::stop(core_, std::move(steps)); }
  stop_result stop(std::vector<stop_step> steps, error_code& ec) {
    return detail::stop(core_, std::move(steps), ec);
  }

  /// Gives the child to the caller, who then has to reap it. Pipes are closed, pending operations
  /// end. Throws system_error (errc::no_child) when there is none or it was reaped already;
  /// then nothing has changed.
  released_child release() {
    released_child mine{pid(), detail::release(core_)};
    take();
    return mine;
  }

  /// Lets the child live on; it is reaped in the background when it ends. Pipes are closed.
  void detach() { detail::detach(take()); }

  /// "<process: returncode: none args: sleep 60>", cut to 80 bytes; looks for no exit.
  friend std::string to_string(const basic_process& process) {
    return detail::text_of(process.core_);
  }
  friend std::ostream& operator<<(std::ostream& os, const basic_process& process) {
    return os << to_string(process);
  }

  /// For conversions between executors: gives up the body.
  detail::core_ptr take_core() && noexcept { return take(); }

  /// For what works on several: the body.
  const detail::core_ptr& core() const noexcept { return core_; }

  /// For async_spawn: takes over a started child.
  basic_process(const executor_type& executor, detail::core_ptr core)
      : executor_(executor), core_(std::move(core)), in_(executor_, core_, detail::stream_id::in),
        out_(executor_, core_, detail::stream_id::out),
        err_(executor_, core_, detail::stream_id::err) {}

  /// No child; for the default values of completion signatures.
  basic_process() : basic_process(executor_type(), detail::core_ptr()) {}

private:
  friend detail::access;

  detail::core_ptr take() noexcept {
    in_ = {executor_, nullptr, detail::stream_id::in};
    out_ = {executor_, nullptr, detail::stream_id::out};
    err_ = {executor_, nullptr, detail::stream_id::err};
    return std::exchange(core_, nullptr);
  }

  template <class WaitToken>
  auto initiate_wait(std::optional<duration> limit, WaitToken&& token) {
    return asio::async_initiate<WaitToken, void(error_code, exit_status)>(
        detail::initiation(
            executor_,
            [core = core_, limit](auto&& handler, asio::cancellation_slot slot, const auto& ex) {
              detail::async_wait(core, limit, slot, {std::forward<decltype(handler)>(handler), ex});
            }),
        token);
  }

  template <class StopToken>
  auto initiate_stop(detail::stop_way how, StopToken&& token) {
    return asio::async_initiate<StopToken, void(error_code, stop_result)>(
        detail::initiation(executor_,
                           [core = core_](auto&& handler, asio::cancellation_slot slot,
                                          const auto& ex, detail::stop_way way) {
                             detail::async_stop(core, std::move(way), slot,
                                                {std::forward<decltype(handler)>(handler), ex});
                           }),
        token, std::move(how));
  }

  template <class CommunicateToken>
  auto initiate_communicate(std::string input, std::optional<duration> limit,
                            CommunicateToken&& token) {
    return asio::async_initiate<CommunicateToken, void(error_code, communicate_result)>(
        detail::initiation(executor_,
                           [core = core_, limit](auto&& handler, asio::cancellation_slot slot,
                                                 const auto& ex, std::string bytes) {
                             detail::async_communicate(
                                 core, std::move(bytes), limit, slot,
                                 {std::forward<decltype(handler)>(handler), ex});
                           }),
        token, std::move(input));
  }

  Executor executor_;
  detail::core_ptr core_;
  basic_writable_pipe<Executor> in_;
  basic_readable_pipe<Executor> out_;
  basic_readable_pipe<Executor> err_;
};

using process = basic_process<>;

namespace detail {

SUBPROC_API void terminate(const core_ptr& core);
SUBPROC_API void kill(const core_ptr& core);

/// Hands a started child to a handler that takes a process. All associators are the handler's.
template <class Handler>
struct process_maker {
  Handler handler;
  asio::any_io_executor executor;

  void operator()(std::exception_ptr error, core_ptr core) {
    std::move(handler)(std::move(error), process(executor, std::move(core)));
  }
};

template <class Handler, class Executor>
process_maker(Handler&&, const Executor&) -> process_maker<std::decay_t<Handler>>;

} // namespace detail

template <class Executor>
void basic_process<Executor>::terminate() {
  detail::terminate(core_);
}

template <class Executor>
void basic_process<Executor>::kill() {
  detail::kill(core_);
}

/// Starts a command without holding the caller: on a launcher thread, for some microseconds here.
/**
 * @par Completion signature @code void(std::exception_ptr error, process child) @endcode
 * @par Errors spawn_error, with nothing left behind.
 * @par Per-operation cancellation terminal, partial, total: no child is left; the error is a
 * system_error with asio::error::operation_aborted.
 * @par Executor the handler's, else the given one; never called from inside this function.
 */
template <detail::executor Executor, asio::completion_token_for<void(std::exception_ptr, process)>
                                         SpawnToken = asio::default_completion_token_t<Executor>>
auto async_spawn(const Executor& executor, command cmd,
                 SpawnToken&& token = asio::default_completion_token_t<Executor>()) {
  return asio::async_initiate<SpawnToken, void(std::exception_ptr, process)>(
      detail::initiation(
          executor,
          [](auto&& handler, asio::cancellation_slot slot, const auto& ex, command what) {
            detail::process_maker maker{std::forward<decltype(handler)>(handler), ex};
            detail::async_start(ex, std::move(what), slot, {std::move(maker), ex});
          }),
      token, std::move(cmd));
}

template <detail::execution_context Context,
          asio::completion_token_for<void(std::exception_ptr, process)> SpawnToken =
              asio::default_completion_token_t<typename Context::executor_type>>
auto async_spawn(
    Context& context, command cmd,
    SpawnToken&& token = asio::default_completion_token_t<typename Context::executor_type>()) {
  return async_spawn(context.get_executor(), std::move(cmd), std::forward<SpawnToken>(token));
}

} // namespace subproc

template <template <class, class> class Associator, class Handler, class Default>
struct subproc::asio::associator<Associator, subproc::detail::process_maker<Handler>, Default>
    : Associator<Handler, Default> {
  static auto get(const subproc::detail::process_maker<Handler>& maker) noexcept {
    return Associator<Handler, Default>::get(maker.handler);
  }
  static auto get(const subproc::detail::process_maker<Handler>& maker,
                  const Default& fallback) noexcept {
    return Associator<Handler, Default>::get(maker.handler, fallback);
  }
};
