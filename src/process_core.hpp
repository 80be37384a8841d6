#pragma once

#include "audit.hpp"
#include "communicate_machine.hpp"
#include "platform.hpp"
#include "process_service.hpp"
#include "read_ahead.hpp"
#include "reaper.hpp"
#include "stop_machine.hpp"
#include "time_source.hpp"

#include <subproc/detail/core.hpp>

#include <asio/steady_timer.hpp>

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

namespace SUBPROC_NAMESPACE::detail {

/// The last step of every stop: SIGKILL, and how long its effect is waited for. A process in an
/// uninterruptible sleep dies later; the reaper thread sees to it.
inline stop_step kill_step() { return {kill_signal, std::chrono::seconds(5)}; }

inline constexpr std::size_t small_read = 64 * 1024;
inline constexpr std::size_t turn = 1024 * 1024; ///< bytes of one stream before others are served

/// An operation that reads one or both outputs by lines, to their ends. Its core is null when there
/// is no child; else all is behind the core's mutex.
class line_source : public std::enable_shared_from_this<line_source> {
public:
  struct part {
    bool open = false;  ///< there may be more to hand out
    bool ended = false; ///< there is no more to read
  };

  part& of(stream_id stream) noexcept { return parts_[stream == stream_id::err]; }

  core_ptr core;
  text_request wanted;
  std::string line;      ///< lent to who has taken it
  lines_handler waiting; ///< for a line
  std::optional<error_code> end;

private:
  std::array<part, 2> parts_;
};

/// The compiled body of a process: the child, its pipe ends, and the operations under way.
/// Everything is behind one mutex, so that operations may start on any thread and the
/// sub-operations of a communicate may complete on several. Handlers are always posted, never
/// called under it, and the audit hooks are told of an exit once it is free.
///
/// Each thing that waits on the loop (exit, three pipes, timers) carries a generation: a wake-up of
/// an earlier generation was cancelled and is ignored.
///
/// There may be ten thousand of these that do nothing but wait for their children: what only some
/// of them need is made at first need.
class process_core : public std::enable_shared_from_this<process_core> {
public:
  process_core(asio::any_io_executor executor, command&& cmd);
  ~process_core();

  /// Starts the child here and now. Throws spawn_error.
  void launch();
  /// Starts it on a launcher thread; the handler gets this core.
  void async_launch(asio::cancellation_slot slot, spawn_handler handler);

  // A start in steps, for what starts several.
  /// All that may refuse it, on the thread that asks. Then it is launched, or was not.
  void announce();
  /// `as`: the command with the streams that it gets.
  void launch_announced(const command& as);
  void not_launched(const std::exception_ptr& error) const noexcept { tell_failed(error); }
  void not_launched() const noexcept { tell_cancelled(); }
  /// Calls start(true) on a launcher thread, which starts this and others, then the handler; or
  /// start(false) when this launch was cancelled in the queue.
  void async_launch_by(std::function<void(bool)> start, spawn_handler handler);

  void drop() noexcept;
  void abandon_loop() noexcept; ///< the execution context goes away
  unique_handle release();
  void detach();

  /// Returns what forget_wait takes; 0 when the wait is over already.
  std::uint64_t async_wait(std::optional<duration> limit, asio::cancellation_slot slot,
                           wait_handler handler);
  /// Ends a wait without calling its handler.
  void forget_wait(std::uint64_t id);
  /// `deadline`: besides the limit. `last`: see communicate_machine::begin. `late`: what is written
  /// may stay in the pipes until the child ends, or until read_now() where they could be full: that
  /// spares a short job all waits for them.
  void async_communicate(std::string input, steady_clock::time_point deadline,
                         asio::cancellation_slot slot, communicate_handler handler,
                         bool last = false, bool late = false);
  void read_now();
  void async_stop(std::vector<stop_step> steps, asio::cancellation_slot slot, stop_handler handler);
  /// A stop that is under way goes on with these steps.
  void escalate_stop(std::vector<stop_step> steps);
  stop_result stop(std::vector<stop_step> steps, error_code& ec);
  void cancel_launch();
  /// Ends what a run on the loop is about: a launch that has not begun, or the communicate.
  void cancel_run();
  /// The scope is empty: a communicate ends with what is in the pipes now.
  void end_drain();
  /// After a communicate that ended by time or limit: reads on during a stop. False after any other
  /// end; then the handler is not used.
  bool async_drain(communicate_handler&& handler);
  bool is_communicating();
  /// What an operation on a stream gives at once; false when it has to wait, by the forms below.
  bool io_now(stream_id stream, void* data, std::size_t size, error_code& ec, std::size_t& n);
  bool text_now(stream_id stream, const text_request& wanted, error_code& ec, line_piece& piece);
  void async_io(stream_id stream, void* data, std::size_t size, asio::cancellation_slot slot,
                io_handler handler);
  void async_text(stream_id stream, text_request wanted, asio::cancellation_slot slot,
                  text_handler handler);
  void open_lines(const line_source_ptr& lines, stream_id first, stream_id last,
                  asio::cancellation_slot slot);
  void wait_for_lines(const line_source_ptr& lines, lines_handler handler);

  exit_status wait(steady_clock::time_point until, const std::optional<duration>& limit);
  /// Nothing when the child still runs then.
  std::optional<exit_status> wait_until(steady_clock::time_point until);
  communicate_result communicate(std::string input, steady_clock::time_point deadline,
                                 const std::optional<duration>& limit);
  /// A communicate and, after an error or a time-out, the stop of the scope, for the run family.
  /// Returns what went wrong.
  error_code run(steady_clock::time_point deadline);
  std::size_t io(stream_id stream, void* data, std::size_t size, error_code& ec);
  line_piece text(stream_id stream, const text_request& wanted, error_code& ec);
  std::optional<taken_line> take_line(const line_source_ptr& lines);
  std::optional<error_code> end_of_lines(const line_source& lines) noexcept;
  void end_lines(const line_source_ptr& lines) noexcept;

  std::optional<exit_status> poll() noexcept;
  error_code send_signal(int number) noexcept;

  completed_process result();
  /// The result with all output in it, for the run family: what communicate gave, else what is
  /// held.
  completed_process take_result(std::optional<communicate_result> got = std::nullopt);
  std::optional<exit_status> known_status() noexcept;
  const command& get_command() const noexcept { return command_; }
  pid_type pid() const noexcept { return pid_; }
  native_handle_type exit_handle() noexcept;
  native_handle_type wait_handle() noexcept; ///< readable when it may have ended; none is invalid
  std::string_view captured(stream_id stream);
  steady_clock::time_point started() const noexcept { return started_; }
  /// What its times go by, once it was launched; null for the steady clock.
  const std::shared_ptr<time_source>& clock() const noexcept { return clock_; }
  steady_clock::time_point now() const noexcept { return now_by(clock_); }
  asio::any_io_executor executor();

  bool is_open(stream_id stream) noexcept;
  native_handle_type handle(stream_id stream) noexcept;
  unique_handle release_stream(stream_id stream) noexcept;
  void close_stream(stream_id stream) noexcept;
  void cancel_stream(stream_id stream) noexcept;
  std::string_view buffered(stream_id stream) noexcept;

  service_link link; ///< the service's own

private:
  /// The mutex of this, whose release tells the hooks of an exit that was seen under it: every way
  /// out passes here.
  class telling_mutex {
  public:
    explicit telling_mutex(process_core& core) noexcept : core_(core) {}
    void lock() { mutex_.lock(); }
    void unlock() noexcept;

  private:
    process_core& core_;
    std::mutex mutex_;
  };

  using lock = std::unique_lock<telling_mutex>;

  /// A wait on the loop.
  struct watch {
    readiness ready;
    std::uint64_t generation = 0;
    bool armed = false;
  };

  struct timer {
    std::unique_ptr<asio::steady_timer> clock;
    std::shared_ptr<void> alarm; ///< instead, of a time source
    std::uint64_t generation = 0;
    steady_clock::time_point armed_for = steady_clock::time_point::max();
  };

  /// A read or write that the user has asked for.
  struct user_io {
    void* data = nullptr;
    std::size_t size = 0;
    io_handler handler;
    std::uint64_t id = 0;
    text_request wanted{};
    text_handler on_text{}; ///< then it is a text that is wanted

    bool pending() const noexcept { return handler || on_text; }
  };

  struct pipe_end {
    unique_handle handle;
    watch waiting;
    user_io user;
    read_ahead ahead;
    line_source_ptr lines; ///< whose the stream is now
    bool grown = false;

    bool busy() const noexcept { return user.pending() || lines; }
  };

  /// Where an output is passed on to as well.
  struct tee_end {
    output_sink sink;
    watch waiting;
  };

  /// All of a process that has pipes.
  struct streams {
    std::array<pipe_end, 3> pipes;
    std::array<tee_end, 2> tees;
  };

  /// A child that was just started.
  struct birth {
    launched_child child;
    std::unique_ptr<streams> ends; ///< none when it has no pipes
    steady_clock::time_point before;
    std::chrono::system_clock::time_point start_time;
  };

  struct waiter {
    std::uint64_t id;
    wait_handler handler;
    std::unique_ptr<asio::steady_timer> limit;
    std::shared_ptr<void> alarm; ///< instead, of a time source
  };

  struct stop_operation {
    stop_machine machine;
    stop_handler handler;
    std::uint64_t id;
    timer wake;
  };

  // Those of a process that has pipes.
  pipe_end& end(stream_id stream) noexcept {
    return streams_->pipes[static_cast<std::size_t>(stream)];
  }
  tee_end& tee_of(stream_id stream) noexcept { return streams_->tees[stream == stream_id::err]; }

  // Those of any, which may have none.
  bool has(stream_id stream) noexcept { return streams_ && end(stream).handle; }
  std::span<pipe_end> pipes() noexcept {
    return streams_ ? std::span<pipe_end>(streams_->pipes) : std::span<pipe_end>();
  }
  std::span<tee_end> tees() noexcept {
    return streams_ ? std::span<tee_end>(streams_->tees) : std::span<tee_end>();
  }

  void prepare_loop();
  birth start_child(const command& as);
  void attach(birth born);
  bool begin_launch() noexcept;
  void launched(std::exception_ptr error, birth born) noexcept;
  void all_launched(std::exception_ptr error) noexcept;
  void disconnect() noexcept;
  void end_launch(); ///< with the mutex held

  // Audit events. Without the mutex, but for leave_child().
  void ask_to_spawn(); ///< throws what a hook does that refuses
  void tell_started(const birth& born) const noexcept;
  void tell_failed(const std::exception_ptr& error) const noexcept;
  void tell_cancelled() const noexcept;
  left_child leave_child() noexcept;
  std::unique_ptr<audit_trail> trail(pid_type pid, launcher_kind launched_by,
                                     std::chrono::system_clock::time_point start_time,
                                     steady_clock::time_point started,
                                     const std::shared_ptr<time_source>& clock) const noexcept;

  // All below are called with the mutex held, but for the handlers of wake-ups.

  // The exit
  bool reap() noexcept;
  bool exit_wanted() const noexcept;
  void update_exit_watch();
  void exit_woken(std::uint64_t generation);
  void reap_again(std::uint64_t generation);
  void complete_waiters(error_code ec);
  void pump(); ///< lets every operation see what is new
  void end_wait(std::uint64_t id, error_code ec);

  // Pipes
  void watch_pipe(stream_id stream);
  void pipe_woken(stream_id stream, std::uint64_t generation, error_code ec);
  void close_end(pipe_end& pipe) noexcept;
  void cancel_watch(watch& waiting) noexcept;
  bool user_may_use(stream_id stream, error_code& ec) noexcept;
  bool try_io(stream_id stream, void* data, std::size_t size, error_code& ec,
              std::size_t& n) noexcept;
  void go_on_with_user_io(stream_id stream);
  void end_user_io(pipe_end& pipe, error_code ec);
  void cancel_user_io(stream_id stream, std::uint64_t id);
  std::size_t read_pipe(pipe_end& pipe, void* data, std::size_t size, error_code& ec) noexcept;
  void hand_over_read_ahead();

  // Lines
  std::optional<found_text> look_for(pipe_end& pipe, const text_request& wanted, bool& ended);
  bool try_text(stream_id stream, const text_request& wanted, error_code& ec, line_piece& piece);
  bool advance(const line_source_ptr& lines);
  void lines_woken(line_source_ptr lines, error_code ec);
  void finish_lines(line_source_ptr lines, error_code ec) noexcept;

  // Communicate
  error_code begin_communicate(std::string input, steady_clock::time_point deadline, bool last);
  bool communicating() const noexcept { return communicate_blocking_ || communicate_handler_; }
  void feed();
  void drain(stream_id stream, std::size_t most);
  void tell_time() noexcept;
  void pass(stream_id stream);
  void watch_sink(stream_id stream);
  void sink_woken(stream_id stream, std::uint64_t generation, error_code ec);
  void close_sinks() noexcept;
  void sweep();
  bool may_read_late() noexcept;
  void step_communicate();
  void pump_communicate();
  void communicate_timer(std::uint64_t generation);
  /// Drives `stop` too, whose end is an end for the communicate.
  void communicate_blocking(lock& held, stop_machine* stop = nullptr);
  void close_all_pipes() noexcept;

  // Stop
  void step_stop(stop_machine& machine);
  void step_stop_of_run(stop_machine& machine);
  void pump_stop();
  stop_result result_of(const stop_machine& machine) const;
  void stop_timer(std::uint64_t generation);
  void stop_blocking(lock& held, stop_machine& machine);

  /// `pause`: see wait_by.
  void wait_blocking(lock& held, std::span<wait_entry> entries, steady_clock::time_point until,
                     steady_clock::duration pause = {});
  completed_process state() const;

  template <class Member>
  void set_timer(timer& what, const std::shared_ptr<time_source>& clock,
                 steady_clock::time_point when, Member woken);
  void disarm(timer& what) noexcept;
  template <class Action>
  void on_cancel(asio::cancellation_slot slot, Action action);

  telling_mutex mutex_{*this};
  asio::any_io_executor executor_;
  process_service* service_ = nullptr;
  const command command_;
  const scope scope_;

  std::unique_ptr<child> child_;
  std::shared_ptr<time_source> clock_;
  pid_type pid_ = -1;
  launcher_kind launched_by_ = launcher_kind::none;
  std::chrono::system_clock::time_point start_time_{};
  std::chrono::system_clock::time_point end_time_{};
  steady_clock::time_point started_{};
  steady_clock::time_point ended_{};
  std::optional<exit_report> report_;

  watch exit_watch_;
  timer reap_again_;
  steady_clock::duration reap_pause_{};
  std::list<waiter> waiters_;
  std::unique_ptr<streams> streams_;
  std::unique_ptr<communicate_machine> communicate_;
  communicate_handler communicate_handler_;
  std::uint64_t communicate_id_ = 0;
  timer communicate_wake_;
  std::unique_ptr<stop_operation> stop_;
  spawn_handler spawn_handler_;
  bool communicate_blocking_ = false;
  bool reads_late_ = false;
  bool stop_blocking_ = false;
  bool launching_ = false;
  bool forced_ = false;
  bool exit_untold_ = false;
  std::uint64_t audit_id_ = 0; ///< 0: nobody is told of anything
  std::uint64_t last_id_ = 0;
};

} // namespace subproc::detail
