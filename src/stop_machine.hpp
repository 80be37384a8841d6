#pragma once

#include <subproc/duration.hpp>
#include <subproc/error.hpp>
#include <subproc/stop.hpp>

#include <optional>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

/// What a stop decides, without doing any of it: it escalates until the scope is empty, not until
/// its leader is gone. A group's emptiness has no event, so it is asked for with back-off.
class stop_machine {
public:
  /// `steps`: at least one. `leader_only`: the scope is the child, whose exit is all there is to
  /// wait for.
  stop_machine(std::vector<stop_step> steps, bool leader_only);

  void begin(steady_clock::time_point now) noexcept;

  bool done() const noexcept { return done_; }
  /// errc::not_stopped when members survived the last step.
  error_code outcome() const noexcept { return outcome_; }
  /// SIGKILL came after another step.
  bool forced() const noexcept { return forced_; }
  /// Of the steps that were carried out, 0 for one that only waits.
  const std::vector<int>& signals() const noexcept { return signals_; }

  // What is wanted now.
  std::optional<int> take_signal();
  bool wants_exit() const noexcept { return !done_ && !exited_; }
  bool wants_scope_check() const noexcept { return !done_ && check_; }
  steady_clock::time_point wakes_at() const noexcept;

  // What happened.
  void exited(steady_clock::time_point now) noexcept;
  void scope_checked(bool empty, steady_clock::time_point now) noexcept;
  void timer(steady_clock::time_point now) noexcept;
  void failed(error_code ec) noexcept { finish(ec); } ///< the signal could not be sent
  /// Goes on with these steps at once instead of those that are left; beyond SIGKILL there is
  /// nothing.
  void escalate(std::vector<stop_step> steps, steady_clock::time_point now);
  void cancel() noexcept { finish(asio::error::operation_aborted); }

private:
  void enter_step(steady_clock::time_point now) noexcept;
  void finish(error_code ec) noexcept;

  std::vector<stop_step> steps_;
  bool leader_only_;
  std::size_t step_ = 0;
  steady_clock::time_point step_ends_ = steady_clock::time_point::max();
  steady_clock::time_point next_check_ = steady_clock::time_point::max();
  steady_clock::duration pause_{};
  std::optional<int> signal_;
  std::vector<int> signals_;
  bool exited_ = false;
  bool check_ = false;
  bool step_over_ = false;
  bool forced_ = false;
  bool done_ = false;
  error_code outcome_;
};

} // namespace subproc::detail
