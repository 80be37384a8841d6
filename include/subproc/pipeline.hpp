#pragma once

#include <subproc/command.hpp>
#include <subproc/detail/any_handler.hpp>
#include <subproc/detail/asio.hpp>
#include <subproc/detail/core.hpp>
#include <subproc/detail/export.hpp>
#include <subproc/duration.hpp>
#include <subproc/error.hpp>
#include <subproc/exit_status.hpp>
#include <subproc/result.hpp>
#include <subproc/stop.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace SUBPROC_NAMESPACE {

/// Whose failure is that of a pipeline. A stage fails with a status that its command does not
/// accept (`ok_codes()`); where none of those that count does, the status is that of the last.
enum class pipeline_policy {
  last,         ///< the last stage alone, as in a shell
  pipefail,     ///< the rightmost that failed, as with `set -o pipefail`
  first_failed, ///< the leftmost that failed: where it began
};

/// A policy of your own: which stage, from 0, is to blame, or none.
using pipeline_judge =
    std::function<std::optional<std::size_t>(const std::vector<completed_process>& stages)>;

/// A stage within this program, between two commands: a function that gets the bytes of the one in
/// pieces, as they come, and returns those for the other; at the end it gets none, once.
///
/// Nothing more is read before the next stage has taken what was made, so that a slow reader holds
/// the writer back. It is called on the executor of the run (blocking: on the thread that runs it),
/// one call at a time; each run has a copy of the function. What it throws stops all stages and is
/// what the run throws. It has no place among the stages of a result.
class filter {
public:
  using function = std::function<std::string(std::string_view bytes)>;

  template <class Function>
    requires std::is_invocable_r_v<std::string, Function&, std::string_view>
  explicit filter(Function what) : function_(std::make_shared<const function>(std::move(what))) {}

  /// A fresh copy.
  function call() const { return *function_; }

  /// Equal when one is a copy of the other.
  friend bool operator==(const filter&, const filter&) = default;

private:
  std::shared_ptr<const function> function_;
};

/// Commands that run at once, each one's stdout the stdin of the next.
///
/// `command("a") | command("b") | command("c")`. Between two children is a pipe of the kernel's: no
/// byte passes through the caller, and each end is closed here once its child has it, so that
/// end-of-file and SIGPIPE reach whom they concern. stdin of the first, stdout of the last and
/// every stderr are what their commands say, and so are a stage's other options: its `ok_codes()`,
/// `limit()`, `drain_timeout()`, `pipe_size()` (of the pipe that it writes to) and `drop()`; its
/// own time-outs end the whole pipeline. What concerns all is said here.
///
/// Refused by the start, before anything runs: `in()` and `input()` of another than the first
/// stage, `out()` and `capture_output()` of another than the last, `check()` of any, a filter that
/// is not between two commands.
/// Thread safety: a value, as command.
class SUBPROC_API pipeline {
public:
  /// Without a stage, which cannot be started.
  pipeline() = default;

  /// One stage. (A template, so that what converts to a command is not taken for a pipeline.)
  template <std::same_as<command> Command>
  pipeline(Command only) {
    stages_.push_back(std::move(only));
  }
  pipeline(filter only) { filters_.push_back({0, std::move(only)}); }

  /// Appends the stages of another one. Its options are taken where this one says nothing.
  pipeline& operator|=(pipeline next) &;

  const std::vector<command>& stages() const noexcept { return stages_; }

  /// The filters that follow after so many stages.
  std::vector<filter> filters(std::size_t after) const;

  /// From the start of the first stage. Then every stage is stopped, the last one first, and the
  /// error is a timeout_expired. A pipeline whose children have all ended in time is a success,
  /// however late the loop was.
  pipeline& timeout(duration limit) & { return set(timeout_, limit); }
  pipeline timeout(duration limit) && { return std::move(timeout(limit)); }
  const std::optional<duration>& timeout() const noexcept { return timeout_; }

  /// The same as a point in time; the earlier of the two counts.
  pipeline& deadline(steady_clock::time_point when) & { return set(deadline_, when); }
  pipeline deadline(steady_clock::time_point when) && { return std::move(deadline(when)); }
  const std::optional<steady_clock::time_point>& deadline() const noexcept { return deadline_; }

  /// run() reports a failure, by the policy, as called_process_error.
  pipeline& check(bool on = true) & { return set(check_, on); }
  pipeline check(bool on = true) && { return std::move(check(on)); }
  bool checked() const noexcept { return check_; }

  /// Default: `last`.
  pipeline& policy(pipeline_policy which) & {
    judge_ = nullptr;
    return set(policy_, which);
  }
  pipeline policy(pipeline_policy which) && { return std::move(policy(which)); }
  /// What it throws is what the run throws; so is std::errc::invalid_argument for a stage that
  /// there is not.
  pipeline& policy(pipeline_judge judge) & {
    policy_.reset();
    return set(judge_, std::make_shared<const pipeline_judge>(std::move(judge)));
  }
  pipeline policy(pipeline_judge judge) && { return std::move(policy(std::move(judge))); }
  /// Nothing when a judge decides.
  std::optional<pipeline_policy> policy() const noexcept {
    return judge_ ? std::nullopt : std::optional(policy_.value_or(pipeline_policy::last));
  }

  /// A stage before the last that died of SIGPIPE has not failed: its reader had enough, as in
  /// `yes | head`. In a shell it has, under pipefail, and so by default here. Not seen are programs
  /// that ignore the signal and report the failed write by their exit code.
  pipeline& forgive_sigpipe(bool on = true) & { return set(forgive_sigpipe_, on); }
  pipeline forgive_sigpipe(bool on = true) && { return std::move(forgive_sigpipe(on)); }
  bool forgives_sigpipe() const noexcept { return forgive_sigpipe_; }

  /// Captures stdout of the last stage and stderr of all, where the commands say nothing else.
  pipeline& capture_output(bool on = true) & { return set(capture_output_, on); }
  pipeline capture_output(bool on = true) && { return std::move(capture_output(on)); }
  bool captures_output() const noexcept { return capture_output_; }

  /// Each stage leads a process group (on Windows a job), unless its command has one or a session:
  /// a stop then takes all that the stages have started, also what is left of a stage that has
  /// ended. Without it a stop takes the stages alone.
  pipeline& own_groups(bool on = true) & { return set(own_groups_, on); }
  pipeline own_groups(bool on = true) && { return std::move(own_groups(on)); }
  bool has_own_groups() const noexcept { return own_groups_; }

  /// How each stage is stopped whose command does not say it; see command::stop_steps(). Never
  /// called, all are killed at once.
  pipeline& stop_steps(std::vector<stop_step> steps) & {
    return set(stop_steps_, std::move(steps));
  }
  pipeline stop_steps(std::vector<stop_step> steps) && {
    return std::move(stop_steps(std::move(steps)));
  }
  const std::optional<std::vector<stop_step>>& stop_steps() const noexcept { return stop_steps_; }

  /// A cancellation sends a signal to every stage; see command::cancel_signals().
  pipeline& cancel_signals(bool on = true) & { return set(cancel_signals_, on); }
  pipeline cancel_signals(bool on = true) && { return std::move(cancel_signals(on)); }
  bool has_cancel_signals() const noexcept { return cancel_signals_; }

  /// Which stage is to blame for how these have ended; nothing when none is.
  std::optional<std::size_t> blame(const std::vector<completed_process>& ended) const;

  /// Judges are equal when one is a copy of the other.
  friend bool operator==(const pipeline&, const pipeline&) = default;

private:
  template <class Member, class Value>
  pipeline& set(Member& member, Value&& value) {
    member = std::forward<Value>(value);
    return *this;
  }

  struct placed_filter {
    std::size_t after;
    filter what;
    friend bool operator==(const placed_filter&, const placed_filter&) = default;
  };

  std::vector<command> stages_;
  std::vector<placed_filter> filters_;
  std::optional<duration> timeout_;
  std::optional<steady_clock::time_point> deadline_;
  std::optional<std::vector<stop_step>> stop_steps_;
  std::optional<pipeline_policy> policy_;
  std::shared_ptr<const pipeline_judge> judge_;
  bool check_ = false;
  bool forgive_sigpipe_ = false;
  bool capture_output_ = false;
  bool own_groups_ = false;
  bool cancel_signals_ = false;
};

/// Joins commands and pipelines. Options of both count; where both say something, the left's does.
inline pipeline operator|(pipeline left, pipeline right) {
  left |= std::move(right);
  return left;
}

/// The commands, quoted for a shell, with ` | ` between; a filter shows as `{filter}`.
SUBPROC_API std::string to_string(const pipeline& what);
SUBPROC_API std::ostream& operator<<(std::ostream& os, const pipeline& what);

/// How a pipeline ended.
struct SUBPROC_API pipeline_result {
  pipeline what;
  /// One for each stage: command, status, stderr, usage, times; the last has the stdout. One that
  /// was stopped because of another or by a cancellation is `cancelled`.
  std::vector<completed_process> stages;
  /// By the policy: of the stage to blame, else of the last.
  exit_status status;
  /// Which stage is to blame, from 0; nothing when the pipeline has succeeded.
  std::optional<std::size_t> failed;
  bool timed_out = false;
  bool cancelled = false;
  /// From the start of the first stage to the end of the last that ended.
  std::chrono::nanoseconds elapsed{};

  bool ok() const noexcept { return !failed; }

  /// stdout of the last stage; empty when it was not captured.
  const std::string& out() const noexcept;

  /// Throws pipeline_failed when a stage is to blame.
  void check_status() const;
};

/// What each error of a pipeline that ran has besides: all stages.
class SUBPROC_API pipeline_error {
public:
  explicit pipeline_error(pipeline_result result);
  virtual ~pipeline_error();

  const pipeline_result& pipeline() const noexcept { return *result_; }

private:
  std::shared_ptr<const pipeline_result> result_;
};

/// A stage failed, by the policy. As a called_process_error it is about that stage: `result()` has
/// its command, status and stderr, and the stdout of the pipeline.
/// "Command 'false', stage 1 of 2 of 'false | cat', returned non-zero exit status 1."
class SUBPROC_API pipeline_failed : public called_process_error, public pipeline_error {
public:
  explicit pipeline_failed(pipeline_result result);
};

/// The time has passed, of the pipeline or of one stage; all were stopped. `result()` is that of
/// the stage that was found late first, with the pipeline's stdout so far.
class SUBPROC_API pipeline_timeout : public timeout_expired, public pipeline_error {
public:
  pipeline_timeout(pipeline_result result, std::size_t stage, double seconds);
};

/// Cancelled, over the limit of a capture, or an error of the operating system; all were stopped.
class SUBPROC_API pipeline_aborted : public operation_error, public pipeline_error {
public:
  pipeline_aborted(error_code ec, pipeline_result result, std::size_t stage);
};

/// A stage could not be started; those before it were killed and reaped, and nothing is left.
/// "cannot start 'nope': exec: stage 2 of 3: No such file or directory"
class SUBPROC_API pipeline_spawn_error : public spawn_error {
public:
  pipeline_spawn_error(const spawn_error& why, const pipeline& what, std::size_t stage);

  /// Which, from 0.
  std::size_t stage() const noexcept { return stage_; }
  /// Its command.
  const command& cmd() const noexcept { return *command_; }

private:
  std::size_t stage_;
  std::shared_ptr<const command> command_;
};

/// Runs a pipeline to its end, blocking this thread.
///
/// All stages are started or none: throws pipeline_spawn_error, a spawn_error. Else it throws as
/// run(command) does: timeout_expired, called_process_error with `check()`, operation_error, each
/// of them a pipeline_error too; all children have been stopped and reaped then. Safe from several
/// threads at once and inside a handler of a loop (which it holds).
SUBPROC_API pipeline_result run(const pipeline& what);

namespace detail {

using pipeline_handler = any_handler<void(std::exception_ptr, pipeline_result)>;
SUBPROC_API void async_run(const asio::any_io_executor& executor, pipeline&& what,
                           asio::cancellation_slot slot, pipeline_handler handler);

} // namespace detail

/// Runs a pipeline to its end on a loop; the stages are started on a launcher thread.
/**
 * The handler is called exactly once, with a null pointer and the result, or with the exception
 * that run() would throw. With an error the result is there too, unless nothing was started.
 * @par Completion signature @code void(std::exception_ptr error, pipeline_result result) @endcode
 * @par Errors those of run(); operation_error with asio::error::operation_aborted when cancelled.
 * @par Per-operation cancellation terminal, partial, total: every stage is killed and reaped (or
 * stopped as `stop_steps()` or `cancel_signals()` say), then the handler is called; the output so
 * far is in the result.
 * @par Executor the handler's, else the given one; never called from inside this function.
 * @par Thread safety the executor may run on several threads.
 */
template <detail::executor Executor,
          asio::completion_token_for<void(std::exception_ptr, pipeline_result)> RunToken =
              asio::default_completion_token_t<Executor>>
auto async_run(const Executor& executor, pipeline what,
               RunToken&& token = asio::default_completion_token_t<Executor>()) {
  return asio::async_initiate<RunToken, void(std::exception_ptr, pipeline_result)>(
      detail::initiation(
          executor,
          [](auto&& handler, asio::cancellation_slot slot, const auto& ex, pipeline all) {
            detail::async_run(ex, std::move(all), slot,
                              {std::forward<decltype(handler)>(handler), ex});
          }),
      token, std::move(what));
}

template <detail::execution_context Context,
          asio::completion_token_for<void(std::exception_ptr, pipeline_result)> RunToken =
              asio::default_completion_token_t<typename Context::executor_type>>
auto async_run(
    Context& context, pipeline what,
    RunToken&& token = asio::default_completion_token_t<typename Context::executor_type>()) {
  return async_run(context.get_executor(), std::move(what), std::forward<RunToken>(token));
}

} // namespace subproc
