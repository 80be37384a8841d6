#pragma once

#include "process_core.hpp"
#include "relay.hpp"
#include "run_operation.hpp"

#include <subproc/pipeline.hpp>

#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

/// The stages as they are started, with the options of the pipeline worked in. Throws
/// pipeline_spawn_error for what a stage may not say.
std::vector<command> stage_commands(const pipeline& what);

/// A pipeline on the loop: all stages are started, then each is a run of its own, and one that
/// fails by itself ends the others. What is pending keeps this alive.
///
/// Mutexes are taken in the order of this, a run's, a core's; what comes the other way is posted.
class pipeline_operation : public std::enable_shared_from_this<pipeline_operation> {
public:
  pipeline_operation(const asio::any_io_executor& executor, pipeline&& what,
                     pipeline_handler handler);

  /// Starts the stages on a launcher thread.
  void start(asio::cancellation_slot slot);
  /// Starts them here. Throws what the handler would get.
  void start_here();

private:
  using lock = std::unique_lock<std::mutex>;

  struct stage {
    core_ptr core;
    std::weak_ptr<run_operation> run; ///< the run owns this
    completed_process result;
    std::exception_ptr error;
    force late = force::none; ///< how what is left of an ended stage is being stopped
    bool ended = false;
    bool late_stop_pending = false;
  };

  void announce();
  void launched(std::exception_ptr error);
  void cancel(asio::cancellation_type type);
  void failed(std::size_t which);
  void ended(std::size_t which, std::exception_ptr error, completed_process result);
  void late_stop_ended(std::size_t which);
  void relay_ended(const std::exception_ptr& error);

  // With the mutex held.
  void stop_late(std::size_t which, way_to_stop way);
  void stop_all();
  void start_relays();
  void check_end(lock held);
  pipeline_result take_result();
  std::exception_ptr judge(pipeline_result& result);
  steady_clock::time_point started(const process_core& core) const;
  steady_clock::time_point deadline(const process_core& core) const;
  steady_clock::time_point deadline_of(std::size_t which) const;
  double seconds_of(std::size_t which, bool inactive) const;

  asio::any_io_executor executor_;
  pipeline what_;
  pipeline_handler handler_;
  std::mutex mutex_;
  std::vector<stage> stages_;
  std::optional<std::size_t> first_failed_;    ///< by itself: time, limit, an error
  std::vector<asio::cancellation_type> early_; ///< cancellations before there were children
  std::vector<std::weak_ptr<relay>> relays_;   ///< they own this
  std::exception_ptr filter_error_;
  std::size_t pending_ = 0; ///< runs and late stops
  std::size_t relays_going_ = 0;
  bool launched_ = false;
  bool cancelled_ = false;
  bool stopping_ = false;
};

} // namespace subproc::detail
