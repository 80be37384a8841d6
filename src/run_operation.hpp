#pragma once

#include "process_core.hpp"

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

/// Refuses what a member of the run family does not take, and fills in what it implies.
void prepare(command& cmd, run_kind kind);

/// How hard a scope is being stopped. What is not harder than before changes nothing.
enum class force : unsigned char { none, interrupt, terminate, grace, steps, kill };

struct way_to_stop {
  force how;
  std::vector<stop_step> steps;
};

/// What a cancellation does; `again`: it is not the first.
way_to_stop way_to_cancel(const command& cmd, asio::cancellation_type type, bool again);
/// What the end of a run's time does.
way_to_stop way_of_timeout(const command& cmd);

/// When a run gives up, by its time-out and deadline.
steady_clock::time_point run_deadline(const process_core& core);

/// What the caller is to get for this end of a run: null for the plain result.
std::exception_ptr judge(const process_core& core, completed_process& result, error_code ec,
                         run_kind kind);

/// Who wants to know what a run's child goes by, when that is not the steady clock.
class clock_listener {
public:
  /// Only to post.
  virtual void learned(const std::shared_ptr<time_source>& clock) = 0;

protected:
  ~clock_listener() = default;
};

/// A run on the loop: launch, communicate, and the stop of the scope when that went wrong. What is
/// pending keeps it alive. The communicate and a stop may go on at once, on two threads.
class run_operation : public std::enable_shared_from_this<run_operation> {
public:
  run_operation(const asio::any_io_executor& executor, run_kind kind, run_handler handler);

  void start(command&& cmd, asio::cancellation_slot slot);

  /// The same with the start on a thread of the executor. Only for a direct handler, as the failure
  /// of a start is told from inside.
  void start_on_executor(command&& cmd);

  /// Before the start: outputs may stay in their pipes until the child ends, or until read_now().
  void read_late() noexcept { late_ = true; }
  void read_now();

  /// Before the start. The handler owns it.
  void tell_clock_to(clock_listener& who) noexcept { listener_ = &who; }

  /// Goes on with a child that was launched, until `deadline`; who calls this drops the core. When
  /// the run fails by itself `on_failure` is called, before the stop, and it may only post.
  void go_on(core_ptr core, steady_clock::time_point deadline, std::function<void()> on_failure);

  /// Ends the run in the way that the command says: by its signals, by its steps, else kill().
  void cancel(asio::cancellation_type type);

  /// Kills the scope; the handler is called when it is gone.
  void kill();

  /// Ends the run as its time-out would: by its steps, else kill().
  void stop_as_told();

  /// Stops the scope the polite way; the result is flagged as cancelled. The handler is called when
  /// the scope is empty.
  void stop(duration grace);

private:
  using lock = std::unique_lock<std::mutex>;

  bool make_core(command&& cmd);
  void launch_here();
  void launched(std::exception_ptr error);
  void stop_ended(error_code ec);
  void communicated(error_code ec, communicate_result got);

  // With the mutex held.
  void begin(steady_clock::time_point deadline);
  bool harder(force how, std::vector<stop_step> steps);
  void stop_with(force how, std::vector<stop_step> steps, error_code why);
  void go_on_stopping();
  communicate_handler on_communicated();
  void complete(lock held);

  asio::any_io_executor executor_;
  run_kind kind_;
  run_handler handler_;
  std::shared_ptr<process_core> core_;
  std::function<void()> on_failure_;
  clock_listener* listener_ = nullptr;
  std::mutex mutex_;
  bool late_ = false;
  bool borrowed_ = false; ///< the core, which somebody else drops
  bool launched_ = false;
  bool communicating_ = false;
  bool stopping_ = false;
  bool stopped_ = false; ///< or it was
  bool cancelled_ = false;
  force force_ = force::none;
  std::vector<stop_step> asked_; ///< how, in steps
  error_code ec_;                ///< why it ends before its time
  std::optional<communicate_result> got_;
};

} // namespace subproc::detail
