#include <subproc/for_each.hpp>
#include <subproc/pool.hpp>

#include "check.hpp"
#include "pool_machine.hpp"
#include "run_operation.hpp"

#include <asio/defer.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <vector>

namespace SUBPROC_NAMESPACE {
namespace detail {
namespace {

void check_options(const pool_options& options) {
  const auto need = [](bool holds, const char* option, const char* what) {
    if (!holds) {
      refuse(option, what);
    }
  };
  need(options.rate >= 0 && std::isfinite(options.rate), "rate", "it is no number from 0 on");
  need(options.burst != 0, "burst", "at least one may start");
  need(!options.timeout_factor || *options.timeout_factor > 0, "timeout_factor",
       "it is no number above 0");
  need(options.retry.factor >= 1, "retry.factor", "it is no number from 1 on");
  need(options.retry.jitter >= 0 && options.retry.jitter <= 1, "retry.jitter",
       "it is no number from 0 to 1");
  need(options.retry.delay >= duration(), "retry.delay", "it is negative");
  need(options.retry.longest_delay >= duration(), "retry.longest_delay", "it is negative");
  need(!contains(options.retry.on, failure_kind::cancelled), "retry.on",
       "what was cancelled is not tried again");
  need(options.halt.count != 0, "halt.count", "it is 0");
  need(!options.halt.percent || (*options.halt.percent > 0 && *options.halt.percent <= 100),
       "halt.percent", "it is no number above 0, up to 100");
  need(options.halt.grace >= duration(), "halt.grace", "it is negative");
  need(options.window_interval > duration(), "window_interval", "it is not above 0");
  need(std::ranges::all_of(options.job_executors, [](const auto& each) { return bool(each); }),
       "job_executors", "one of them is empty");
}

pool_options checked(pool_options options) {
  check_options(options);
  options.concurrency = one_a_core(options.concurrency);
  return options;
}

/// The system had no room for one more process or descriptor.
bool no_room(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const spawn_error& refusal) {
    return std::ranges::any_of(
        std::array{std::errc::resource_unavailable_try_again, std::errc::too_many_files_open,
                   std::errc::too_many_files_open_in_system, std::errc::not_enough_memory},
        [&](std::errc each) {
          return refusal.code() == error_condition(static_cast<int>(each), generic_category());
        });
  } catch (...) {
    return false;
  }
}

// Of a std::function everything can be copied.
template <class T>
std::shared_ptr<T> share(T&& what) {
  return std::make_shared<T>(std::move(what));
}

std::exception_ptr cancelled_error(const completed_process& result) {
  return std::make_exception_ptr(operation_error(asio::error::operation_aborted, result));
}

} // namespace

/// Carries out what the machine wants, in turns that never overlap: what comes from elsewhere waits
/// in an inbox. A strand would do the same and cost a fifth of the time of a job.
class pool_core final : public std::enable_shared_from_this<pool_core>, private clock_listener {
public:
  pool_core(const asio::any_io_executor& executor, pool_options options, pool::source from,
            pool::sink to)
      : executor_(executor), timer_(executor), anchor_(executor),
        options_(checked(std::move(options))),
        machine_(options_, options_.seed ? *options_.seed : std::random_device()()),
        source_(std::move(from)), sink_(std::move(to)), running_on_(options_.job_executors.size()) {
    machine_.source_waits(); // until the run begins
  }

  asio::any_io_executor executor() const noexcept { return executor_; }

  pool_summary summary() const {
    const std::lock_guard lock(summary_mutex_);
    return summary_;
  }

  void run(asio::cancellation_slot slot, pool_handler handler) {
    if (started_.exchange(true)) {
      const error_code twice = make_error_code(errc::operation_pending);
      handler.complete(std::make_exception_ptr(system_error(twice, "pool")), {});
      return;
    }
    if (slot.is_connected()) {
      slot.assign([weak = weak_from_this()](asio::cancellation_type type) {
        const auto self = weak.lock();
        if (self && type != asio::cancellation_type::none) {
          self->later([type](pool_core& core) { core.cancel(type); });
        }
      });
    }
    later([h = share(std::move(handler))](pool_core& core) {
      core.handler_ = std::move(*h);
      if (core.source_) {
        core.machine_.source_ready();
      }
    });
  }

  void submit(command&& cmd, job_options options, asio::cancellation_slot slot,
              run_handler handler) {
    const std::uint64_t ticket = ++last_ticket_;
    if (slot.is_connected()) {
      slot.assign([weak = weak_from_this(), ticket](asio::cancellation_type type) {
        const auto self = weak.lock();
        if (self && type != asio::cancellation_type::none) {
          self->later([ticket, type](pool_core& core) { core.cancel_job(ticket, type); });
        }
      });
    }
    later([what = share(std::move(cmd)), options, ticket, h = share(std::move(handler))](
              pool_core& core) { core.admit(std::move(*what), options, ticket, std::move(*h)); });
  }

  /// Does this in the next turn.
  void later(std::function<void(pool_core&)> action) {
    put([&] { actions_.push_back(std::move(action)); });
  }

  void wake() {
    if (handler_ && source_) {
      machine_.source_ready();
    }
  }

  void set_concurrency(std::size_t most) { machine_.set_concurrency(one_a_core(most)); }

  void close() {
    closed_ = true;
    machine_.source_ended();
  }

  void drain() {
    closed_ = true;
    machine_.halt();
  }

  void stop(duration grace) {
    for_each_running([grace](run_operation& job) { job.stop(grace); });
    drain();
  }

  void kill() {
    for_each_running([](run_operation& job) { job.kill(); });
    drain();
  }

  void cancel(asio::cancellation_type type) {
    note(aborted());
    for_each_running([type](run_operation& job) { job.cancel(type); });
    drain();
  }

  /// Stops at once; the run completes with the first error.
  void fail(std::exception_ptr error) {
    note(std::move(error));
    kill();
  }

  /// The pool object goes: from now on nothing of the user's is called but pending handlers.
  void forget() {
    gone_ = true; // at once: results may be waiting for their turn
    later([](pool_core& core) {
      core.sink_ = nullptr;
      core.fail(aborted());
    });
  }

private:
  using job_slot = pool_machine::slot;
  static constexpr auto never = steady_clock::time_point::max();

  // The pipes of a job are looked at when it has ended, or from so long after its start on: most
  // jobs are short and quiet. After one that could have filled a pipe the next ones are watched.
  static constexpr std::chrono::milliseconds late{10};
  static constexpr std::size_t loud = 32 << 10;
  static constexpr int jobs_of_a_kind = 64;

  struct entry {
    command next;                         ///< what the next try runs
    std::weak_ptr<run_operation> running; ///< which owns this pool
    steady_clock::time_point started;
    pool_result result;  ///< of the last try
    run_handler handler; ///< of a job that was submitted
    std::uint64_t ticket = 0;
    std::optional<std::size_t> executor; ///< which of the job executors it is on
  };

  /// Keeps the pool while the loop has the wait. The alarm goes first: then it calls no more.
  struct anchored {
    std::shared_ptr<pool_core> pool;
    std::shared_ptr<std::shared_ptr<void>> alarm;
    void operator()(error_code) const noexcept {}
  };

  void learned(const std::shared_ptr<time_source>& clock) override {
    later([clock](pool_core& core) {
      if (!core.clock_) {
        core.ahead_ = steady_clock::now() - clock->now();
        core.clock_ = clock;
      }
    });
  }

  // By the first clock of a child that is not the steady one; it goes on from there.
  steady_clock::time_point now() const noexcept {
    return clock_ ? clock_->now() + ahead_ : steady_clock::now();
  }

  static std::exception_ptr aborted() {
    return std::make_exception_ptr(
        system_error(error_code(asio::error::operation_aborted), "pool"));
  }

  void note(std::exception_ptr error) {
    if (!error_) {
      error_ = std::move(error);
    }
  }

  template <class Action>
  void for_each_running(Action action) {
    for (const entry& each : jobs_) {
      if (const auto running = each.running.lock()) {
        action(*running);
      }
    }
  }

  void admit(command&& cmd, job_options options, std::uint64_t ticket, run_handler handler) {
    if (closed_ || gone_) {
      completed_process nothing;
      nothing.cmd = std::move(cmd);
      nothing.cancelled = true;
      handler.complete(cancelled_error(nothing), nothing);
      return;
    }
    entry& added = add(std::move(cmd), options.priority);
    added.ticket = ticket;
    added.handler = std::move(handler);
  }

  entry& add(command&& cmd, int priority) {
    const job_slot at = machine_.admitted(priority);
    if (at == jobs_.size()) {
      jobs_.emplace_back();
    }
    jobs_[at].next = std::move(cmd);
    return jobs_[at];
  }

  void cancel_job(std::uint64_t ticket, asio::cancellation_type type) {
    const auto found = std::ranges::find(jobs_, ticket, &entry::ticket);
    if (found == jobs_.end()) {
      return;
    }
    if (const auto running = found->running.lock()) {
      running->cancel(type);
    } else {
      machine_.cancelled(static_cast<job_slot>(found - jobs_.begin()));
    }
  }

  template <class Put>
  void put(Put put) {
    {
      const std::lock_guard lock(inbox_mutex_);
      put();
      if (std::exchange(turn_comes_, true)) {
        return;
      }
    }
    post_turn();
  }

  void post_turn() {
    asio::defer(executor_, [self = shared_from_this()] { self->turn(); });
  }

  void turn() {
    // Also when something throws; what came meanwhile is for the next turn, after other handlers.
    const struct ending {
      pool_core& core;
      ~ending() {
        core.taken_actions_.clear();
        core.taken_ends_.clear();
        bool more = false;
        {
          const std::lock_guard lock(core.inbox_mutex_);
          more = core.turn_comes_ = !core.actions_.empty() || !core.ends_.empty();
        }
        if (more) {
          core.post_turn();
        }
      }
    } after{*this};
    {
      const std::lock_guard lock(inbox_mutex_);
      taken_actions_.swap(actions_);
      taken_ends_.swap(ends_);
    }
    for (const auto& action : taken_actions_) {
      action(*this);
      pump(); // what was submitted first has its chance first
    }
    for (const job_slot ended : taken_ends_) {
      finished(ended);
    }
    read_old_jobs();
    pump();
  }

  void pump() {
    if (over_) {
      return;
    }
    start_what_may();
    while (const std::optional<job_slot> next = machine_.take_deliverable()) {
      deliver(*next);
      start_what_may();
    }
    if (machine_.take_stop_order()) {
      for_each_running([this](run_operation& job) { job.stop(options_.halt.grace); });
    }
    publish();
    if (machine_.done() && handler_) {
      finish();
    } else {
      set_timer();
    }
  }

  void finish() {
    over_ = true;
    timer_.cancel();
    drop_alarm();
    source_ = nullptr;
    sink_ = nullptr;
    options_.window = nullptr;
    options_.prepare = nullptr;
    std::exchange(handler_, {}).complete(error_, summary_);
  }

  void start_what_may() {
    const auto now = this->now();
    look_again_ = never;
    for (;;) {
      ask_window(now);
      if (const std::optional<job_slot> next = machine_.take_start(now)) {
        start(*next, now);
      } else if (machine_.wants_command(now)) {
        pull();
      } else {
        return;
      }
    }
  }

  void ask_window(steady_clock::time_point now) {
    if (!options_.window || gone_ || !machine_.wants_window(now)) {
      return;
    }
    try {
      const pool_summary summary = machine_.summary();
      const std::size_t may = options_.window(summary);
      machine_.set_window(may);
      if (may <= summary.running) {
        look_again_ = options_.window_interval.after(now);
      }
    } catch (...) {
      machine_.set_window(0);
      fail_later(std::current_exception());
    }
  }

  // A job that is still there may have filled its pipes.
  void read_old_jobs() {
    if (unread_.empty() || steady_clock::now() < read_at_) {
      return;
    }
    for (; !unread_.empty() && unread_.front().first <= read_at_; unread_.pop_front()) {
      if (const auto running = unread_.front().second.lock()) {
        running->read_now();
      }
    }
    read_at_ = unread_.empty() ? never : unread_.back().first;
  }

  void set_timer() {
    if (summary_.running == 0) { // else the timer of a job that has ended is the next one's too
      unread_.clear();
      read_at_ = never;
    }
    if (!unread_.empty() && read_at_ == never) {
      read_at_ = unread_.back().first;
    }
    const auto next = std::min(machine_.wakes_at(), look_again_);
    if (clock_) {
      set_alarm(next);
    }
    // What is read late is so by the steady clock always: what a pipe holds does not wait.
    const auto wakes = clock_ ? read_at_ : std::min(next, read_at_);
    if (wakes == timer_set_for_) {
      return;
    }
    timer_set_for_ = wakes;
    timer_.cancel();
    if (wakes == never) {
      return;
    }
    timer_.expires_at(wakes);
    timer_.async_wait([self = shared_from_this()](error_code ec) {
      if (!ec) {
        self->later([](pool_core& core) { core.timer_set_for_ = never; });
      }
    });
  }

  // A timer that never fires has the loop and the pool wait for the clock.
  void set_alarm(steady_clock::time_point when) {
    if (when == alarm_set_for_) {
      return;
    }
    drop_alarm();
    if (when == never) {
      return;
    }
    const auto alarm = std::make_shared<std::shared_ptr<void>>(
        clock_->call_at(when - ahead_, [weak = weak_from_this()] {
          if (const auto self = weak.lock()) {
            self->later([](pool_core& core) { core.drop_alarm(); });
          }
        }));
    alarm_set_for_ = when;
    alarm_ = alarm;
    anchor_.expires_at(never);
    anchor_.async_wait(anchored{shared_from_this(), alarm});
  }

  void drop_alarm() noexcept {
    alarm_set_for_ = never;
    if (const auto alarm = alarm_.lock()) {
      alarm->reset();
      anchor_.cancel();
    }
  }

  void publish() {
    const std::lock_guard lock(summary_mutex_);
    summary_ = machine_.summary();
  }

  void pull() {
    if (gone_) {
      machine_.source_ended();
      return;
    }
    command next;
    next_command answer = next_command::end;
    try {
      answer = source_(next);
    } catch (...) {
      machine_.source_ended();
      fail_later(std::current_exception());
      return;
    }
    if (answer == next_command::end) {
      machine_.source_ended();
    } else if (answer == next_command::later) {
      machine_.source_waits();
    } else {
      add(std::move(next), 0);
    }
  }

  void start(job_slot at, steady_clock::time_point now) {
    entry& next = jobs_[at];
    if (!prepare(at)) {
      return;
    }
    const std::optional<duration> limit = machine_.time_limit();
    command cmd;
    if (machine_.has_time_limits()) {
      cmd = next.next; // which stays as its user gave it
      if (limit) {
        cmd.timeout(std::min(cmd.timeout().value_or(*limit), *limit));
      }
    } else {
      cmd = std::move(next.next);
    }
    auto running = std::make_shared<run_operation>(
        executor_for(next), run_kind::run,
        run_handler::direct([self = shared_from_this(), at, &next](std::exception_ptr error,
                                                                   completed_process result) {
          next.result.error = std::move(error);
          next.result.process = std::move(result);
          self->put([&] { self->ends_.push_back(at); });
        }));
    next.started = now;
    next.running = running;
    if (loud_ > 0) {
      --loud_;
    } else {
      running->read_late();
      unread_.emplace_back((clock_ ? steady_clock::now() : now) + late, running);
    }
    if (!clock_) {
      running->tell_clock_to(*this);
    }
    if (next.executor) {
      running->start_on_executor(std::move(cmd));
    } else {
      running->start(std::move(cmd), {});
    }
  }

  const asio::any_io_executor& executor_for(entry& next) {
    if (running_on_.empty()) {
      return executor_;
    }
    const auto fewest = std::ranges::min_element(running_on_);
    ++*fewest;
    next.executor = static_cast<std::size_t>(fewest - running_on_.begin());
    return options_.job_executors[*next.executor];
  }

  /// False when that failed, which ends the job.
  bool prepare(job_slot at) {
    if (!options_.prepare || gone_) {
      return true;
    }
    try {
      options_.prepare(jobs_[at].next,
                       {machine_.sequence(at), machine_.tries(at), machine_.place(at)});
      return true;
    } catch (...) {
      fail_later(std::current_exception());
      machine_.halt();
      machine_.finished(at, failure_kind::cancelled, {}, now());
      return false;
    }
  }

  void finished(job_slot at) {
    const auto now = this->now();
    entry& ended = jobs_[at];
    ended.running.reset();
    if (ended.executor) {
      --running_on_[*std::exchange(ended.executor, std::nullopt)];
    }
    if (machine_.has_time_limits()) {
      ended.result.process.cmd = ended.next;
    }
    ended.result.sequence = machine_.sequence(at);
    ended.result.tries = machine_.tries(at);
    if (ended.result.process.out.size() + ended.result.process.err.size() > loud) {
      loud_ = jobs_of_a_kind;
    }
    const failure_kind why = ended.result.why();
    if (why == failure_kind::spawn && no_room(ended.result.error) && machine_.refused(at, now)) {
      ended.next = std::move(ended.result.process.cmd);
      ended.result = {};
    } else if (!machine_.finished(at, why, now - ended.started, now)) {
      ended.next = ended.result.process.cmd;
    }
  }

  void deliver(job_slot at) {
    // Taken out first: the slot is free, and what is called may have it used again.
    entry ended = std::exchange(jobs_[at], {});
    if (ended.result.sequence == 0) {
      ended.result.sequence = machine_.sequence(at);
      ended.result.tries = 0;
      ended.result.process.cmd = std::move(ended.next);
      ended.result.process.cancelled = true;
      ended.result.error = cancelled_error(ended.result.process);
    }
    if (ended.handler) {
      ended.handler.complete(std::move(ended.result.error), std::move(ended.result.process));
      return;
    }
    if (gone_) {
      return;
    }
    try {
      sink_(std::move(ended.result));
    } catch (...) {
      machine_.source_ended();
      fail_later(std::current_exception());
    }
  }

  void fail_later(std::exception_ptr error) {
    note(error);
    later([error](pool_core& self) { self.fail(error); });
  }

  asio::any_io_executor executor_;
  asio::steady_timer timer_;
  asio::steady_timer anchor_;
  pool_options options_;
  pool_machine machine_;
  pool::source source_;
  pool::sink sink_;
  pool_handler handler_;
  std::exception_ptr error_;
  std::vector<std::size_t> running_on_; ///< each of the job executors
  std::deque<entry> jobs_; ///< by their slots; a job that ends writes its result where it stays
  // By actions and ends that come, and those that a turn carries out.
  std::mutex inbox_mutex_;
  std::vector<std::function<void(pool_core&)>> actions_;
  std::vector<std::function<void(pool_core&)>> taken_actions_;
  std::vector<job_slot> ends_;
  std::vector<job_slot> taken_ends_;
  bool turn_comes_ = false;
  std::shared_ptr<time_source> clock_;
  steady_clock::duration ahead_{}; ///< of the clock
  std::weak_ptr<std::shared_ptr<void>> alarm_;
  steady_clock::time_point alarm_set_for_ = never;
  steady_clock::time_point timer_set_for_ = never;
  steady_clock::time_point look_again_ = never;
  steady_clock::time_point read_at_ = never;
  std::deque<std::pair<steady_clock::time_point, std::weak_ptr<run_operation>>> unread_;
  int loud_ = 0;
  bool closed_ = false;
  bool over_ = false;
  std::atomic<std::uint64_t> last_ticket_ = 0;
  std::atomic<bool> started_ = false;
  std::atomic<bool> gone_ = false;
  mutable std::mutex summary_mutex_;
  pool_summary summary_;
};

std::shared_ptr<pool_core> make_pool(const asio::any_io_executor& executor, pool_options options,
                                     pool::source from, pool::sink to) {
  return std::make_shared<pool_core>(executor, std::move(options), std::move(from), std::move(to));
}

void async_run(const std::shared_ptr<pool_core>& core, asio::cancellation_slot slot,
               pool_handler handler) {
  core->run(slot, std::move(handler));
}

void async_submit(const std::shared_ptr<pool_core>& core, command&& cmd, job_options options,
                  asio::cancellation_slot slot, run_handler handler) {
  core->submit(std::move(cmd), options, slot, std::move(handler));
}

void wake(const std::shared_ptr<pool_core>& core) {
  core->later([](pool_core& woken) { woken.wake(); });
}

void forget(const std::shared_ptr<pool_core>& core) noexcept { core->forget(); }

} // namespace detail

void pool_waker::operator()() const {
  if (const auto core = core_.lock()) {
    detail::wake(core);
  }
}

failure_kind pool_result::why() const noexcept {
  if (process.cancelled) {
    return failure_kind::cancelled;
  }
  if (error) {
    try {
      std::rethrow_exception(error);
    } catch (const timeout_expired&) {
      return failure_kind::timeout;
    } catch (const operation_error& other) {
      return other.code() == asio::error::operation_aborted ? failure_kind::cancelled
                                                            : failure_kind::output;
    } catch (const called_process_error&) {
    } catch (...) {
      return failure_kind::spawn;
    }
  } else if (process.cmd.accepts(process.status)) {
    return failure_kind::none;
  }
  return process.status.signalled() ? failure_kind::signal : failure_kind::status;
}

pool::pool(const executor_type& executor, pool_options options, source from, sink to)
    : core_(detail::make_pool(executor, std::move(options), std::move(from), std::move(to))) {}

pool& pool::operator=(pool&& other) noexcept {
  pool(std::move(other)).core_.swap(core_);
  return *this;
}

pool::~pool() {
  if (core_) {
    detail::forget(core_);
  }
}

pool::executor_type pool::get_executor() const noexcept { return core_->executor(); }

void pool::wake() { detail::wake(core_); }

void pool::close() {
  core_->later([](detail::pool_core& core) { core.close(); });
}

void pool::set_concurrency(std::size_t most) {
  core_->later([most](detail::pool_core& core) { core.set_concurrency(most); });
}

void pool::drain() {
  core_->later([](detail::pool_core& core) { core.drain(); });
}

void pool::stop(duration grace) {
  core_->later([grace](detail::pool_core& core) { core.stop(grace); });
}

void pool::kill() {
  core_->later([](detail::pool_core& core) { core.kill(); });
}

pool_summary pool::summary() const { return core_->summary(); }

} // namespace subproc
