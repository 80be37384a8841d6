#pragma once

#include "run_times.hpp"

#include <subproc/detail/export.hpp>
#include <subproc/duration.hpp>
#include <subproc/pool_options.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

/// 0 stands for as many as there are cores.
std::size_t one_a_core(std::size_t concurrency) noexcept;

/// What a pool decides, without doing any of it: when to ask for a command, which one to start, to
/// try again and to deliver next, how many may run, when to halt. Jobs are known by a slot, a small
/// number that is used again; nothing is allocated for a job once there were as many at once.
class pool_machine {
public:
  using slot = std::uint32_t;
  using time_point = steady_clock::time_point;

  /// Of the options those without a function; a concurrency of at least 1.
  pool_machine(const pool_options& options, std::uint64_t seed);

  // What is wanted now.
  /// A command from the source, which will then start at once.
  bool wants_command(time_point now);
  /// The next one to start; from then on it runs.
  std::optional<slot> take_start(time_point now);
  /// The next result to deliver; its slot may be given to another one after that.
  std::optional<slot> take_deliverable();
  /// Something could start but for the window.
  bool wants_window(time_point now);
  /// now: what runs is to be stopped. Told once.
  bool take_stop_order() noexcept;
  /// When something changes by time alone; time_point::max() for never.
  time_point wakes_at() const noexcept;
  /// For a try that starts now, when the pool has one.
  std::optional<duration> time_limit() const noexcept;
  bool has_time_limits() const noexcept { return timeout_factor_.has_value(); }
  bool done() const noexcept { return ended_ && free_.size() == jobs_.size(); }

  // What happened.
  slot admitted(int priority = 0);
  void source_waits() noexcept { source_waits_ = true; }
  void source_ready() noexcept { source_waits_ = false; }
  void source_ended() noexcept { ended_ = true; }
  /// How many may run, by whoever uses the pool.
  void set_concurrency(std::size_t most) noexcept;
  /// How many may run just now.
  void set_window(std::size_t most) noexcept { window_ = most; }
  /// The system has no room for one more. False after many tries beside which nothing ran: then it
  /// is a failure like others, and finished() is to be told.
  bool refused(slot job, time_point now);
  /// Whether that was its end; else it will be tried again.
  bool finished(slot job, failure_kind why, duration took, time_point now);
  /// Not wanted any more. False when it is not in the queue: what runs has to be stopped.
  bool cancelled(slot job);
  /// Nothing more is started: what has not run is delivered as it is.
  void halt();

  std::uint64_t sequence(slot job) const noexcept { return jobs_[job].sequence; }
  /// Which of those that run at once it is, from 1, once it was started.
  std::size_t place(slot job) const noexcept { return jobs_[job].place; }
  unsigned tries(slot job) const noexcept { return jobs_[job].tries; }
  std::size_t running() const noexcept { return summary_.running; }
  pool_summary summary() const noexcept;

private:
  struct record {
    std::uint64_t sequence = 0;
    std::uint64_t delivery = 0; ///< when its turn is
    time_point due{};
    int priority = 0;
    std::uint32_t place = 0;
    unsigned tries = 0;
    unsigned refusals = 0; ///< in a row, with nothing running
  };

  auto queue_order() const noexcept;
  auto due_order() const noexcept;
  auto delivery_order() const noexcept;

  bool could_start(time_point now);
  bool has_room() const noexcept;
  time_point gate() const noexcept { return std::max(not_before_, next_start_ - burst_); }
  void enqueue(slot job);
  void queue_due(time_point now);
  void stopped_running(record& job);
  void end(slot job);
  void end_all(std::vector<slot>& jobs);
  void count(bool success);
  duration delay_before(unsigned number);
  double random() noexcept;

  std::size_t concurrency_;
  bool keep_order_;
  steady_clock::duration interval_{}; ///< between two starts, by the rate
  steady_clock::duration burst_{};    ///< how far starts may be ahead of that
  std::optional<double> timeout_factor_;
  retry_policy retry_;
  halt_policy halt_;
  std::uint64_t random_;

  std::vector<record> jobs_;
  std::vector<slot> free_;
  std::vector<slot> queued_; // these three are heaps
  std::vector<slot> waiting_;
  std::vector<slot> over_;
  std::vector<std::uint32_t> free_places_; ///< of those up to places_
  std::uint32_t places_ = 0;

  std::size_t window_ = static_cast<std::size_t>(-1);
  std::size_t room_ = static_cast<std::size_t>(-1); ///< what the system has room for
  std::size_t fine_starts_ = 0;                     ///< since that changed
  time_point next_start_{};
  time_point not_before_{}; ///< after a refusal with nothing running
  time_point now_{};

  std::uint64_t last_sequence_ = 0;
  std::uint64_t ends_ = 0;
  std::uint64_t delivered_ = 0;
  bool source_waits_ = false;
  bool ended_ = false;
  bool stop_order_ = false;
  pool_summary summary_;
  run_times times_;
};

} // namespace subproc::detail
