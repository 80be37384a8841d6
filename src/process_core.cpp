// The life of a process object: start, exit, waits, drop. Pipes and communicate are in
// process_communicate.cpp, stopping is in process_stop.cpp.

#include "process_core.hpp"

#include "check.hpp"
#include "launch_queue.hpp"
#include "process_core_timer.hpp"
#include "redirects.hpp"
#include "usual_launcher.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {

process_core::process_core(asio::any_io_executor executor, command&& cmd)
    : executor_(std::move(executor)), command_(std::move(cmd)), scope_(scope_of(command_)) {
  if (executor_) {
    service_ = &process_service::of(executor_);
    service_->add(*this);
  }
}

process_core::~process_core() {
  disconnect();
  abandon_child(leave_child(), command_.drop(), scope_);
}

// A loop that cannot get its descriptors must say so before there is a child to be waited for.
void process_core::prepare_loop() {
  try {
    if (service_) {
      service_->prepare(executor_);
    }
  } catch (const system_error& error) {
    // Asio names the call: a filter may refuse io_uring to a program whose Asio was built for it.
    throw spawn_error(error.code(), spawn_step::pipe, {},
                      std::string("the event loop cannot be set up, ") + error.what());
  }
}

process_core::birth process_core::start_child(const command& as) {
  birth born;
  // All memory is taken before there is a child.
  born.ends = std::make_unique<streams>();
  output_sinks sinks(command_);
  born.ends->tees[0].sink = std::move(sinks.out);
  born.ends->tees[1].sink = std::move(sinks.err);
  born.before = steady_clock::now();
  const auto who = command_.launcher() ? command_.launcher() : usual_launcher();
  born.child = who->start(as);
  if (born.child.clock) {
    born.before = born.child.clock->now();
  }
  born.start_time = std::chrono::system_clock::now();
  if (!born.child.in && !born.child.out && !born.child.err) {
    born.ends.reset();
  }
  return born;
}

void process_core::launch() {
  announce();
  launch_announced(command_);
}

void process_core::announce() {
  check(command_);
  ask_to_spawn();
  try {
    prepare_loop();
  } catch (...) {
    tell_failed(std::current_exception());
    throw;
  }
}

void process_core::launch_announced(const command& as) {
  birth born;
  try {
    born = start_child(as);
  } catch (...) {
    tell_failed(std::current_exception());
    throw;
  }
  tell_started(born);
  const lock held(mutex_);
  attach(std::move(born));
}

void process_core::async_launch(asio::cancellation_slot slot, spawn_handler handler) {
  // On the thread that asks, which hooks may want to know.
  try {
    announce();
  } catch (...) {
    handler.complete(std::current_exception(), nullptr);
    return;
  }
  {
    const lock held(mutex_);
    spawn_handler_ = std::move(handler);
    on_cancel(slot, [](process_core& self) { self.cancel_launch(); });
  }
  // Without the mutex: where no thread can be had the job runs right here.
  launch_later([self = shared_from_this(), signals = caller_signals()]() mutable {
    if (!self->begin_launch()) {
      self->tell_cancelled();
      return;
    }
    birth born;
    std::exception_ptr error;
    const auto start = [&] {
      try {
        born = self->start_child(self->command_);
      } catch (...) {
        error = std::current_exception();
      }
    };
    if (self->command_.signals() == signal_setup::keep) {
      signals.run(start);
    } else {
      start();
    }
    if (error) {
      self->tell_failed(error);
    } else {
      self->tell_started(born);
    }
    self->launched(std::move(error), std::move(born));
  });
}

void process_core::async_launch_by(std::function<void(bool)> start, spawn_handler handler) {
  {
    const lock held(mutex_);
    spawn_handler_ = std::move(handler);
  }
  launch_later([self = shared_from_this(), start = std::move(start)] {
    if (!self->begin_launch()) {
      start(false);
      return;
    }
    std::exception_ptr error;
    try {
      start(true);
    } catch (...) {
      error = std::current_exception();
    }
    self->all_launched(std::move(error));
  });
}

// As launched(); without a handler the loop has gone, and the drop policies say what follows.
void process_core::all_launched(std::exception_ptr error) noexcept {
  const lock held(mutex_);
  if (!spawn_handler_) {
    return;
  }
  const bool failed = error != nullptr;
  std::exchange(spawn_handler_, {})
      .complete(std::move(error), failed ? nullptr : shared_from_this());
  if (failed) {
    disconnect();
  }
}

// A launch that was cancelled while it was queued does not happen.
bool process_core::begin_launch() noexcept {
  const lock held(mutex_);
  launching_ = static_cast<bool>(spawn_handler_);
  return launching_;
}

void process_core::launched(std::exception_ptr error, birth born) noexcept {
  lock held(mutex_);
  if (!spawn_handler_) {
    held.unlock();
    if (!error) {
      auto seen = trail(born.child.child->pid(), born.child.launched_by, born.start_time,
                        born.before, born.child.clock);
      end_child({std::move(born.child.child), std::move(seen)}, drop_policy::kill, scope_);
    }
    return;
  }
  const bool failed = error != nullptr;
  core_ptr self;
  if (!failed) {
    attach(std::move(born));
    self = shared_from_this();
  }
  // The handler may end the loop at once. A loop that goes asks this core first, and so waits for
  // the mutex: the post has to be over before the core leaves it.
  std::exchange(spawn_handler_, {}).complete(std::move(error), std::move(self));
  if (failed) {
    disconnect();
  }
}

void process_core::attach(birth born) {
  child_ = std::move(born.child.child);
  clock_ = std::move(born.child.clock);
  pid_ = child_->pid();
  launched_by_ = born.child.launched_by;
  streams_ = std::move(born.ends);
  if (streams_) {
    end(stream_id::in).handle = std::move(born.child.in);
    end(stream_id::out).handle = std::move(born.child.out);
    end(stream_id::err).handle = std::move(born.child.err);
  }
  started_ = born.before;
  start_time_ = born.start_time;
}

void process_core::ask_to_spawn() {
  audit_id_ = audit_id(command_);
  if (audit_id_ != 0) {
    ask_hooks({audit_kind::spawn, command_, audit_id_});
  }
}

void process_core::tell_started(const birth& born) const noexcept {
  if (audit_id_ != 0) {
    tell_hooks({audit_kind::started, command_, audit_id_, born.child.child->pid(),
                born.child.launched_by, born.start_time});
  }
}

void process_core::tell_failed(const std::exception_ptr& error) const noexcept {
  if (audit_id_ == 0) {
    return;
  }
  audit_event event{audit_kind::failed, command_, audit_id_};
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& what) {
    event.error = &what;
    tell_hooks(event);
  } catch (...) {
    tell_hooks(event);
  }
}

// This may come while the program ends and its statics go: Asio's error categories are some, those
// of the standard library are not.
void process_core::tell_cancelled() const noexcept {
  if (audit_id_ != 0) {
    tell_failed(std::make_exception_ptr(
        system_error(detail::generic_error(std::errc::operation_canceled), "spawn")));
  }
}

void process_core::telling_mutex::unlock() noexcept {
  if (!std::exchange(core_.exit_untold_, false)) {
    mutex_.unlock();
    return;
  }
  const auto alive = core_.weak_from_this().lock(); // a hook may drop the process
  audit_event event{audit_kind::exited, core_.command_,     core_.audit_id_,
                    core_.pid_,         core_.launched_by_, core_.start_time_};
  event.status = core_.report_->status;
  event.usage = core_.report_->usage;
  event.end_time = core_.end_time_;
  event.elapsed = core_.ended_ - core_.started_;
  mutex_.unlock();
  tell_hooks(event);
}

// The child, for whoever reaps it from now on.
left_child process_core::leave_child() noexcept {
  left_child left;
  if (child_ && !report_) {
    left.trail = trail(pid_, launched_by_, start_time_, started_, clock_);
  }
  left.who = std::move(child_);
  return left;
}

// Without the memory for one the later events are lost.
std::unique_ptr<audit_trail> process_core::trail(
    pid_type pid, launcher_kind launched_by, std::chrono::system_clock::time_point start_time,
    steady_clock::time_point started, const std::shared_ptr<time_source>& clock) const noexcept {
  if (audit_id_ == 0) {
    return nullptr;
  }
  try {
    return std::make_unique<audit_trail>(
        audit_trail{audit_id_, command_, pid, launched_by, start_time, started, clock});
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

// Takes everything off the loop, its executor too: a launcher thread may be the last to let go of
// this, after the loop has gone.
void process_core::disconnect() noexcept {
  ++exit_watch_.generation;
  exit_watch_.armed = false;
  exit_watch_.ready.reset();
  close_all_pipes();
  for (timer* t : {&reap_again_, &communicate_wake_}) {
    disarm(*t);
    t->clock.reset();
  }
  executor_ = {}; // first: a loop that goes waits only for who is on its list
  if (service_) {
    std::exchange(service_, nullptr)->remove(*this);
  }
}

void process_core::drop() noexcept {
  left_child left;
  {
    const lock held(mutex_);
    complete_waiters(asio::error::operation_aborted);
    if (communicate_handler_) {
      communicate_->cancel();
      pump_communicate();
    }
    if (stop_) {
      stop_->machine.cancel();
      pump_stop();
    }
    disconnect();
    left = leave_child();
  }
  abandon_child(std::move(left), command_.drop(), scope_);
}

// Handlers are destroyed, not called, as Asio does with its own; outside the mutex, because they
// may own this very process.
void process_core::abandon_loop() noexcept {
  std::list<waiter> waiters;
  communicate_handler communicate;
  std::unique_ptr<stop_operation> stop;
  spawn_handler spawn;
  std::array<io_handler, 3> io;
  std::array<text_handler, 3> texts;
  std::array<lines_handler, 3> lines;
  asio::any_io_executor executor;
  {
    const lock held(mutex_);
    waiters.swap(waiters_);
    communicate = std::move(communicate_handler_);
    for (waiter& each : waiters) {
      each.alarm.reset();
    }
    if (stop_) {
      disarm(stop_->wake);
      stop = std::move(stop_);
    }
    spawn = std::move(spawn_handler_);
    for (std::size_t i = 0; pipe_end & pipe : pipes()) {
      io[i] = std::move(pipe.user.handler);
      texts[i] = std::move(pipe.user.on_text);
      if (pipe.lines) {
        lines[i] = std::move(pipe.lines->waiting);
      }
      ++pipe.waiting.generation;
      pipe.waiting.armed = false;
      pipe.waiting.ready.reset();
      ++i;
    }
    for (tee_end& tee : tees()) {
      ++tee.waiting.generation;
      tee.waiting.armed = false;
      tee.waiting.ready.reset();
    }
    ++exit_watch_.generation;
    exit_watch_.armed = false;
    exit_watch_.ready.reset();
    for (timer* t : {&reap_again_, &communicate_wake_}) {
      disarm(*t);
      t->clock.reset();
    }
    service_ = nullptr;
    executor = std::move(executor_); // a strand's service is about to go
    executor_ = {};
  }
}

unique_handle process_core::release() {
  std::unique_ptr<child> left;
  unique_handle handle;
  {
    const lock held(mutex_);
    if (child_ && !report_ && reap()) {
      pump();
    }
    if (!child_ || report_) {
      throw system_error(make_error_code(errc::no_child), "release");
    }
    exit_watch_.ready.reset();
    handle = child_->release();
    left = std::move(child_);
  }
  left.reset();
  drop();
  return handle;
}

void process_core::detach() {
  left_child left;
  {
    const lock held(mutex_);
    exit_watch_.ready.reset();
    left = leave_child();
  }
  drop();
  reap_in_background(std::move(left));
}

bool process_core::reap() noexcept {
  if (report_ || !child_) {
    return report_.has_value();
  }
  report_ = child_->try_wait();
  if (!report_) {
    return false;
  }
  exit_untold_ = audit_id_ != 0;
  ended_ = now();
  end_time_ = std::chrono::system_clock::now();
  ++exit_watch_.generation;
  exit_watch_.armed = false;
  exit_watch_.ready.reset();
  disarm(reap_again_);
  complete_waiters({});
  if (communicate_) {
    communicate_->exited(report_->status, ended_);
  }
  if (stop_) {
    stop_->machine.exited(ended_);
  }
  return true;
}

bool process_core::exit_wanted() const noexcept {
  return !report_ && child_ &&
         (!waiters_.empty() || (communicate_handler_ && communicate_->wants_exit()) ||
          (stop_ && stop_->machine.wants_exit()));
}

void process_core::update_exit_watch() {
  if (!exit_wanted()) {
    cancel_watch(exit_watch_);
    disarm(reap_again_);
    return;
  }
  const bool backing_off = reap_again_.armed_for != steady_clock::time_point::max();
  if (!exit_watch_.armed && !backing_off) {
    exit_watch_.armed = true;
    exit_watch_.ready.async_wait(executor_, child_->exit_handle(), false,
                                 [self = shared_from_this(), generation = ++exit_watch_.generation](
                                     error_code) { self->exit_woken(generation); });
  }
}

// Readable does not mean reapable: a debugger that holds the dead child keeps its status. Waiting
// again at once would spin.
void process_core::exit_woken(std::uint64_t generation) {
  const lock held(mutex_);
  if (generation != exit_watch_.generation || !exit_watch_.armed) {
    return;
  }
  exit_watch_.armed = false;
  if (!reap()) {
    reap_pause_ = std::clamp<steady_clock::duration>(2 * reap_pause_, std::chrono::milliseconds(1),
                                                     std::chrono::milliseconds(64));
    set_timer(reap_again_, nullptr, steady_clock::now() + reap_pause_, &process_core::reap_again);
    return;
  }
  pump();
}

void process_core::reap_again(std::uint64_t generation) {
  const lock held(mutex_);
  if (generation != reap_again_.generation) {
    return;
  }
  disarm(reap_again_);
  reap();
  pump();
  update_exit_watch();
}

void process_core::complete_waiters(error_code ec) {
  const exit_status status = report_ ? report_->status : exit_status();
  for (waiter& each : std::exchange(waiters_, {})) {
    each.handler.complete(ec, status);
  }
}

void process_core::pump() {
  const bool known = report_.has_value();
  pump_communicate();
  pump_stop();
  if (!known && report_) {
    pump_communicate(); // the stop saw the exit
  }
}

std::uint64_t process_core::async_wait(std::optional<duration> limit, asio::cancellation_slot slot,
                                       wait_handler handler) {
  const lock held(mutex_);
  if (!child_) {
    handler.complete(make_error_code(errc::no_child), {});
    return 0;
  }
  if (report_) {
    handler.complete({}, report_->status);
    return 0;
  }
  const std::uint64_t id = ++last_id_;
  waiters_.push_back({id, std::move(handler), nullptr, nullptr});
  if (limit && clock_) {
    waiters_.back().alarm =
        post_at(*clock_, limit->after(now()), executor_,
                [self = shared_from_this(), id] { self->end_wait(id, asio::error::timed_out); });
  } else if (limit) {
    auto& own = waiters_.back().limit;
    own = std::make_unique<asio::steady_timer>(executor_, limit->after(steady_clock::now()));
    own->async_wait([self = shared_from_this(), id](error_code ec) {
      if (!ec) {
        self->end_wait(id, asio::error::timed_out);
      }
    });
  }
  on_cancel(slot, [id](process_core& self) { self.end_wait(id, asio::error::operation_aborted); });
  update_exit_watch();
  return id;
}

void process_core::forget_wait(std::uint64_t id) {
  std::list<waiter> gone; // outlives the lock: a handler may own anything
  const lock held(mutex_);
  const auto found = std::ranges::find(waiters_, id, &waiter::id);
  if (found != waiters_.end()) {
    gone.splice(gone.end(), waiters_, found);
    update_exit_watch();
  }
}

// The real exit wins over a time-out that is delivered late.
void process_core::end_wait(std::uint64_t id, error_code ec) {
  const lock held(mutex_);
  const auto same = [id](const waiter& each) { return each.id == id; };
  if (std::none_of(waiters_.begin(), waiters_.end(), same) || reap()) {
    pump();
    return;
  }
  const auto found = std::find_if(waiters_.begin(), waiters_.end(), same);
  found->handler.complete(ec, {});
  waiters_.erase(found);
  update_exit_watch();
}

std::optional<exit_status> process_core::poll() noexcept {
  const lock held(mutex_);
  if (!report_ && reap()) {
    pump();
  }
  return report_ ? std::optional(report_->status) : std::nullopt;
}

std::optional<exit_status> process_core::known_status() noexcept {
  const lock held(mutex_);
  return report_ ? std::optional(report_->status) : std::nullopt;
}

exit_status process_core::wait(steady_clock::time_point until,
                               const std::optional<duration>& limit) {
  {
    const lock held(mutex_);
    if (!waiters_.empty()) {
      throw system_error(make_error_code(errc::operation_pending), "wait");
    }
  }
  if (const std::optional<exit_status> status = wait_until(until)) {
    return *status;
  }
  completed_process so_far = result();
  so_far.timed_out = true;
  throw timeout_expired(std::move(so_far), limit ? limit->seconds() : 0);
}

std::optional<exit_status> process_core::wait_until(steady_clock::time_point until) {
  lock held(mutex_);
  if (!child_) {
    throw system_error(make_error_code(errc::no_child), "wait");
  }
  auto pause = steady_clock::duration::zero();
  while (!reap()) {
    if (now() >= until) {
      return std::nullopt;
    }
    wait_entry entry{child_->exit_handle()};
    if (pause != pause.zero()) {
      entry.handle = invalid_handle;
    }
    wait_blocking(held, {&entry, 1}, until, pause);
    // Ready and still not reapable: look again by time, as on the loop.
    pause = std::clamp<steady_clock::duration>(2 * pause, std::chrono::milliseconds(1),
                                               std::chrono::milliseconds(64));
  }
  pump();
  return report_->status;
}

void process_core::wait_blocking(lock& held, std::span<wait_entry> entries,
                                 steady_clock::time_point until, steady_clock::duration pause) {
  held.unlock();
  const struct relock {
    lock& held;
    ~relock() { held.lock(); }
  } again{held}; // also when the wait throws
  wait_by(clock_, entries, until, pause);
}

error_code process_core::send_signal(int number) noexcept {
  const lock held(mutex_);
  if (!child_) {
    return make_error_code(errc::no_child);
  }
  if (reap()) {
    pump();
    return {};
  }
  return child_->signal(number, scope::process);
}

completed_process process_core::state() const {
  completed_process result;
  result.cmd = command_;
  result.pid = pid_;
  result.launched_by = launched_by_;
  result.start_time = start_time_;
  result.forced = forced_;
  if (report_) {
    result.status = report_->status;
    result.usage = report_->usage;
    result.end_time = end_time_;
    result.elapsed = ended_ - started_;
  }
  return result;
}

completed_process process_core::result() {
  const lock held(mutex_);
  return state();
}

native_handle_type process_core::exit_handle() noexcept {
  const lock held(mutex_);
  return child_ && child_->exit_handle_is_process() ? child_->exit_handle() : invalid_handle;
}

native_handle_type process_core::wait_handle() noexcept {
  const lock held(mutex_);
  return child_ && !report_ ? child_->exit_handle() : invalid_handle;
}

asio::any_io_executor process_core::executor() {
  const lock held(mutex_);
  return executor_;
}

void process_core::cancel_watch(watch& waiting) noexcept {
  if (waiting.armed) {
    waiting.armed = false;
    ++waiting.generation;
    waiting.ready.cancel();
  }
}

void process_core::disarm(timer& what) noexcept {
  ++what.generation;
  what.armed_for = steady_clock::time_point::max();
  what.alarm.reset();
  if (what.clock) {
    what.clock->cancel();
  }
}

} // namespace subproc::detail
