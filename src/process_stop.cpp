// Stopping a scope: the two drivers of the stop machine, and the run family's use of both machines.

#include "process_core.hpp"

#include "process_core_timer.hpp"

#include <algorithm>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {

void process_core::step_stop(stop_machine& machine) {
  if (reap()) {
    machine.exited(now());
  }
  for (;;) {
    if (const std::optional<int> number = machine.take_signal()) {
      if (const error_code ec = child_->signal(*number, scope_)) {
        machine.failed(ec);
      } else if (const int go_on = signal_to_go_on(*number)) {
        child_->signal(go_on, scope_); // who is halted would sit the grace out
      }
    } else if (machine.wants_scope_check()) {
      const bool empty = child_->scope_empty(scope_);
      if (reap()) { // that look may have been the one that found the exit
        machine.exited(now());
      }
      machine.scope_checked(empty, now());
    } else {
      break;
    }
  }
  forced_ = forced_ || machine.forced();
}

// The communicate of a run goes on beside its stop, and ends with it.
void process_core::step_stop_of_run(stop_machine& machine) {
  step_stop(machine);
  if (!machine.done()) {
    return;
  }
  if (machine.outcome()) {
    communicate_->cancel();
  } else {
    communicate_->scope_ended();
  }
}

void process_core::pump_stop() {
  if (!stop_) {
    return;
  }
  step_stop(stop_->machine);
  if (!stop_->machine.done()) {
    update_exit_watch();
    set_timer(stop_->wake, clock_, stop_->machine.wakes_at(), &process_core::stop_timer);
    return;
  }
  const error_code outcome = stop_->machine.outcome();
  stop_result result = result_of(stop_->machine);
  disarm(stop_->wake);
  stop_handler handler = std::move(stop_->handler);
  stop_.reset();
  handler.complete(outcome, std::move(result));
  update_exit_watch();
}

stop_result process_core::result_of(const stop_machine& machine) const {
  stop_result result;
  result.status = report_ ? report_->status : exit_status();
  result.forced = machine.forced();
  result.signals = machine.signals();
  if (machine.outcome() == errc::not_stopped) {
    result.survivors = child_->scope_members(scope_);
  }
  return result;
}

void process_core::stop_timer(std::uint64_t generation) {
  const lock held(mutex_);
  if (stop_ && generation == stop_->wake.generation) {
    disarm(stop_->wake);
    stop_->machine.timer(now());
    pump();
  }
}

void process_core::async_stop(std::vector<stop_step> steps, asio::cancellation_slot slot,
                              stop_handler handler) {
  const lock held(mutex_);
  if (!child_ || stop_ || stop_blocking_) {
    handler.complete(make_error_code(child_ ? errc::operation_pending : errc::no_child), {});
    return;
  }
  const std::uint64_t id = ++last_id_;
  stop_ = std::make_unique<stop_operation>(stop_operation{
      stop_machine(std::move(steps), scope_ == scope::process), std::move(handler), id, {}});
  // Generations go on from operation to operation: an old wake-up must not fit a new timer.
  stop_->wake.generation = id << 32;
  on_cancel(slot, [id](process_core& self) {
    const lock again(self.mutex_);
    if (self.stop_ && self.stop_->id == id) {
      self.stop_->machine.cancel();
      self.pump_stop();
    }
  });
  reap();
  stop_->machine.begin(now());
  pump();
}

stop_result process_core::stop(std::vector<stop_step> steps, error_code& ec) {
  lock held(mutex_);
  if (!child_ || stop_ || stop_blocking_) {
    ec = make_error_code(child_ ? errc::operation_pending : errc::no_child);
    return {};
  }
  stop_blocking_ = true;
  const struct ending {
    bool& blocking;
    ~ending() { blocking = false; }
  } over{stop_blocking_}; // whatever is thrown
  stop_machine machine(std::move(steps), scope_ == scope::process);
  machine.begin(now());
  stop_blocking(held, machine);
  ec = machine.outcome();
  stop_result result = result_of(machine);
  pump(); // what waits on a loop has something to see
  return result;
}

void process_core::stop_blocking(lock& held, stop_machine& machine) {
  auto pause = steady_clock::duration::zero();
  for (step_stop(machine); !machine.done(); step_stop(machine)) {
    wait_entry entry;
    if (!machine.wants_exit()) {
      pause = pause.zero();
    } else if (pause == pause.zero()) {
      entry.handle = child_->exit_handle();
    }
    wait_blocking(held, {&entry, 1}, machine.wakes_at(), pause);
    if (entry.ready || pause != pause.zero()) { // ready and not reapable, as in wait_until
      pause = std::clamp<steady_clock::duration>(2 * pause, std::chrono::milliseconds(1),
                                                 std::chrono::milliseconds(64));
    }
    if (now() >= machine.wakes_at()) {
      machine.timer(now());
    }
  }
}

void process_core::cancel_launch() {
  const lock held(mutex_);
  end_launch();
}

void process_core::end_launch() {
  if (spawn_handler_) {
    const error_code aborted = asio::error::operation_aborted;
    std::exchange(spawn_handler_, {})
        .complete(std::make_exception_ptr(system_error(aborted, "spawn")), nullptr);
    disconnect(); // a launcher thread may hold this longer than the loop lives
  }
}

// A launch that has begun is waited for: whoever cancels a run is told when its child is gone.
void process_core::cancel_run() {
  const lock held(mutex_);
  if (spawn_handler_ && !launching_) {
    end_launch();
  } else if (communicate_handler_) {
    communicate_->cancel();
    pump();
  }
}

void process_core::end_drain() {
  const lock held(mutex_);
  if (communicate_handler_) {
    communicate_->scope_ended();
    pump();
  }
}

void process_core::escalate_stop(std::vector<stop_step> steps) {
  const lock held(mutex_);
  if (stop_) {
    stop_->machine.escalate(std::move(steps), now());
    pump();
  }
}

bool process_core::is_communicating() {
  const lock held(mutex_);
  return communicating();
}

bool process_core::async_drain(communicate_handler&& handler) {
  const lock held(mutex_);
  if (!communicate_->begin_drain()) {
    return false;
  }
  communicate_handler_ = std::move(handler);
  communicate_id_ = ++last_id_;
  pump_communicate();
  return true;
}

error_code process_core::run(steady_clock::time_point deadline) {
  lock held(mutex_);
  error_code ec = begin_communicate({}, deadline, true);
  if (ec) {
    return ec;
  }
  try {
    communicate_blocking(held);
    ec = communicate_->outcome();
  } catch (const system_error& error) { // the wait itself
    ec = error.code();
  }
  if (ec) {
    const auto& steps = command_.stop_steps();
    stop_machine machine(steps ? *steps : std::vector{kill_step()}, scope_ == scope::process);
    machine.begin(now());
    if (steps && communicate_->begin_drain()) {
      communicate_blocking(held, &machine);
    }
    stop_blocking(held, machine);
    close_all_pipes();
  }
  return ec;
}

} // namespace subproc::detail
