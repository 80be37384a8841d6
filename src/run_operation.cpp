#include "run_operation.hpp"

#include "check.hpp"
#include "launch_queue.hpp"
#include "redirects.hpp"

#include <asio/defer.hpp>

#include <algorithm>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {
namespace {

// Pieces never point beyond what is there.
void cut_pieces(completed_process& result) {
  for (output_piece& piece : result.pieces) {
    const std::size_t size =
        piece.stream == output_stream::out ? result.out.size() : result.err.size();
    const std::uint64_t rest = size - std::min<std::uint64_t>(size, piece.offset);
    piece.size = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size, rest));
  }
  std::erase_if(result.pieces, [](const output_piece& piece) { return piece.size == 0; });
}

bool checks(const command& cmd, run_kind kind) {
  return kind == run_kind::check_call || kind == run_kind::check_output || cmd.checked();
}

void cut(std::string& text, std::size_t most, std::uint64_t& dropped) {
  if (text.size() > most) {
    dropped += text.size() - most;
    text.resize(most);
  }
}

constexpr auto without_end = std::chrono::hours::max();

} // namespace

void prepare(command& cmd, run_kind kind) {
  if (kind == run_kind::check_output) {
    if ((cmd.out() && !tees(cmd.out())) || cmd.captures_output()) {
      refuse(cmd.out() ? "out" : "capture_output", "check_output captures stdout itself");
    }
    if (cmd.checked()) {
      refuse("check", "check_output checks always");
    }
    if (!cmd.out()) {
      cmd.out(piped);
    }
  }
  if (kind == run_kind::call || kind == run_kind::check_call) {
    cmd.limit(0, overflow::head); // drained, not kept
  }
}

steady_clock::time_point run_deadline(const process_core& core) {
  const command& cmd = core.get_command();
  const auto by_timeout =
      cmd.timeout() ? cmd.timeout()->after(core.started()) : steady_clock::time_point::max();
  return std::min(by_timeout, cmd.deadline().value_or(steady_clock::time_point::max()));
}

std::exception_ptr judge(const process_core& core, completed_process& result, error_code ec,
                         run_kind kind) {
  const command& cmd = core.get_command();
  result.inactive = ec == errc::inactive;
  result.timed_out = result.inactive || ec == asio::error::timed_out;
  result.cancelled = result.cancelled || ec == asio::error::operation_aborted;
  if (ec == errc::output_limit) {
    cut(result.out, cmd.limit().bytes, result.out_dropped);
    cut(result.err, cmd.limit().bytes, result.err_dropped);
    cut_pieces(result);
  }
  if (result.inactive) {
    return std::make_exception_ptr(timeout_expired(result, cmd.inactivity_timeout()->seconds()));
  }
  if (result.timed_out) {
    const duration limit = cmd.timeout().value_or(
        std::max(cmd.deadline().value_or(core.started()), core.started()) - core.started());
    return std::make_exception_ptr(timeout_expired(result, limit.seconds()));
  }
  if (ec) {
    return std::make_exception_ptr(operation_error(ec, result));
  }
  if (checks(cmd, kind) && !cmd.accepts(result.status)) {
    return std::make_exception_ptr(called_process_error(result));
  }
  return nullptr;
}

way_to_stop way_to_cancel(const command& cmd, asio::cancellation_type type, bool again) {
  const auto has = [type](asio::cancellation_type kind) {
    return (type & kind) != asio::cancellation_type::none;
  };
  if (cmd.has_cancel_signals() && !has(asio::cancellation_type::terminal)) {
    if (has(asio::cancellation_type::partial)) {
      return {force::terminate, {{stop_signal, without_end}}};
    }
    return {force::interrupt, {{interrupt_signal, without_end}}};
  }
  if (cmd.stop_steps() && !cmd.has_cancel_signals() && !again) {
    return {force::steps, *cmd.stop_steps()};
  }
  return {force::kill, {kill_step()}};
}

way_to_stop way_of_timeout(const command& cmd) {
  if (cmd.stop_steps()) {
    return {force::steps, *cmd.stop_steps()};
  }
  return {force::kill, {kill_step()}};
}

run_operation::run_operation(const asio::any_io_executor& executor, run_kind kind,
                             run_handler handler)
    : executor_(executor), kind_(kind), handler_(std::move(handler)) {}

// False when that failed, which completes it.
bool run_operation::make_core(command&& cmd) {
  try {
    prepare(cmd, kind_);
    core_ = std::make_shared<process_core>(executor_, std::move(cmd));
    return true;
  } catch (...) {
    handler_.complete(std::current_exception(), {});
    return false;
  }
}

void run_operation::start_on_executor(command&& cmd) {
  if (make_core(std::move(cmd))) {
    // Deferred: the first is for this thread, without waking another.
    asio::defer(executor_, [self = shared_from_this()] { self->launch_here(); });
  }
}

void run_operation::launch_here() {
  std::exception_ptr error;
  try {
    {
      const lock held(mutex_);
      if (force_ != force::none) {
        throw system_error(error_code(asio::error::operation_aborted));
      }
    }
    const launcher_role here; // who asks for this vouches for the thread
    core_->launch();
  } catch (...) {
    error = std::current_exception();
  }
  launched(std::move(error));
}

void run_operation::start(command&& cmd, asio::cancellation_slot slot) {
  if (!make_core(std::move(cmd))) {
    return;
  }
  if (slot.is_connected()) {
    slot.assign([weak = weak_from_this()](asio::cancellation_type type) {
      const auto self = weak.lock();
      if (self && type != asio::cancellation_type::none) {
        self->cancel(type);
      }
    });
  }
  core_->async_launch({}, {[self = shared_from_this()](std::exception_ptr error, const core_ptr&) {
                             self->launched(std::move(error));
                           },
                           executor_});
}

void run_operation::read_now() {
  const lock held(mutex_);
  if (std::exchange(late_, false) && launched_) {
    core_->read_now();
  }
}

void run_operation::cancel(asio::cancellation_type type) {
  const lock held(mutex_);
  way_to_stop way = way_to_cancel(core_->get_command(), type, std::exchange(cancelled_, true));
  stop_with(way.how, std::move(way.steps), asio::error::operation_aborted);
}

void run_operation::stop_as_told() {
  const lock held(mutex_);
  cancelled_ = true;
  way_to_stop way = way_of_timeout(core_->get_command());
  stop_with(way.how, std::move(way.steps), asio::error::operation_aborted);
}

void run_operation::kill() {
  const lock held(mutex_);
  cancelled_ = true;
  stop_with(force::kill, {kill_step()}, asio::error::operation_aborted);
}

void run_operation::stop(duration grace) {
  const lock held(mutex_);
  cancelled_ = true;
  stop_with(force::grace, {{stop_signal, grace}, kill_step()}, {});
}

bool run_operation::harder(force how, std::vector<stop_step> steps) {
  if (how <= force_) {
    return false;
  }
  force_ = how;
  asked_ = std::move(steps);
  return true;
}

// Without a child yet, or with its end already under way to here, a stop waits for what comes: a
// launch that fails, a child to be stopped, or a result, which wins.
void run_operation::stop_with(force how, std::vector<stop_step> steps, error_code why) {
  if (!harder(how, std::move(steps))) {
    return;
  }
  if (!ec_) {
    ec_ = why;
  }
  const bool running = launched_ && core_->is_communicating();
  if (!launched_ || force_ == force::kill) {
    core_->cancel_run();
  }
  if (stopping_ || running) {
    go_on_stopping();
  }
}

void run_operation::go_on_stopping() {
  if (stopping_) {
    core_->escalate_stop(asked_);
    return;
  }
  stopped_ = stopping_ = true;
  core_->async_stop(
      asked_, {},
      {[self = shared_from_this()](error_code ec, const stop_result&) { self->stop_ended(ec); },
       executor_});
}

communicate_handler run_operation::on_communicated() {
  return {[self = shared_from_this()](error_code ec, communicate_result got) {
            self->communicated(ec, std::move(got));
          },
          executor_};
}

void run_operation::launched(std::exception_ptr error) {
  lock held(mutex_);
  launched_ = true;
  if (error) {
    completed_process nothing;
    nothing.cmd = core_->get_command();
    nothing.cancelled = cancelled_;
    if (nothing.cancelled) {
      error = std::make_exception_ptr(operation_error(asio::error::operation_aborted, nothing));
    }
    held.unlock();
    handler_.complete(std::move(error), std::move(nothing));
    return;
  }
  if (listener_ && core_->clock()) {
    listener_->learned(core_->clock());
  }
  begin(run_deadline(*core_));
}

void run_operation::go_on(core_ptr core, steady_clock::time_point deadline,
                          std::function<void()> on_failure) {
  const lock held(mutex_);
  core_ = std::move(core);
  on_failure_ = std::move(on_failure);
  borrowed_ = launched_ = true;
  begin(deadline);
}

void run_operation::begin(steady_clock::time_point deadline) {
  communicating_ = true;
  core_->async_communicate({}, deadline, {}, on_communicated(), true, late_);
  if (force_ == force::kill) {
    core_->cancel_run();
  }
  if (force_ != force::none) {
    go_on_stopping(); // it was asked for before there was a child
  }
}

void run_operation::communicated(error_code ec, communicate_result got) {
  lock held(mutex_);
  communicating_ = false;
  if (!ec) {
    got_ = std::move(got);
    if (!stopped_) { // the result came before the stop
      ec_ = {};
      cancelled_ = false;
    }
  } else if (!stopped_ || stopping_) {
    ec_ = ec_ ? ec_ : ec;
    if (on_failure_ && ec != asio::error::operation_aborted) {
      on_failure_();
    }
    way_to_stop way = way_of_timeout(core_->get_command());
    if (harder(way.how, std::move(way.steps)) || !stopped_) {
      go_on_stopping();
    }
    communicating_ = force_ != force::kill && core_->async_drain(on_communicated());
  }
  if (!communicating_ && !stopping_) {
    complete(std::move(held));
  }
}

void run_operation::stop_ended(error_code ec) {
  lock held(mutex_);
  stopping_ = false;
  if (!communicating_) {
    complete(std::move(held));
  } else if (ec) {
    core_->cancel_run();
  } else {
    core_->end_drain();
  }
}

void run_operation::complete(lock held) {
  completed_process result = core_->take_result(std::move(got_));
  result.cancelled = cancelled_;
  std::exception_ptr error = judge(*core_, result, ec_, kind_);
  if (!borrowed_) {
    core_->drop(); // off the loop, before the caller can know that it may go
  }
  held.unlock();
  handler_.complete(std::move(error), std::move(result));
}

} // namespace subproc::detail
