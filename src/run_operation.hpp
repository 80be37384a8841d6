#pragma once

#include "process_core.hpp"

#include <atomic>
#include <exception>
#include <memory>
#include <optional>

namespace subproc::detail {

/// Refuses what a member of the run family does not take, and fills in what it implies.
void prepare(command& cmd, run_kind kind);

/// When a run gives up, by its time-out and deadline.
steady_clock::time_point run_deadline(const process_core& core);

/// What the caller is to get for this end of a run: null for the plain result.
std::exception_ptr judge(const process_core& core, completed_process& result, error_code ec,
                         run_kind kind);

/// A run on the loop: launch, communicate, and the kill of the scope when that went wrong. What is
/// pending keeps it alive.
class run_operation : public std::enable_shared_from_this<run_operation> {
public:
  run_operation(const asio::any_io_executor& executor, run_kind kind, run_handler handler);

  void start(command&& cmd, asio::cancellation_slot slot);

  /// Kills the scope; the handler is called when it is gone.
  void cancel();

  /// Stops the scope the polite way; the result is flagged as cancelled. The handler is called when
  /// the scope is empty.
  void stop(duration grace);

private:
  struct ending {
    error_code ec;
    std::optional<communicate_result> got;
  };

  void launched(std::exception_ptr error);
  void begin_stop(std::vector<stop_step> steps);
  void stop_ended();
  void communicated(error_code ec, communicate_result got);
  void complete(error_code ec, std::optional<communicate_result> got);

  asio::any_io_executor executor_;
  run_kind kind_;
  run_handler handler_;
  std::shared_ptr<process_core> core_;
  std::atomic<bool> launched_ = false;
  std::atomic<bool> cancelled_ = false;
  std::optional<duration> stop_grace_; ///< of a stop that was asked for
  bool stopping_ = false;
  std::optional<ending> ended_; ///< of the communicate, while a stop is under way
};

} // namespace subproc::detail
