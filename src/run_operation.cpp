#include "run_operation.hpp"

#include "check.hpp"
#include "redirects.hpp"

#include <algorithm>
#include <utility>

namespace subproc::detail {
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
    result.out_dropped = result.out.size() - std::min(result.out.size(), cmd.limit().bytes);
    result.err_dropped = result.err.size() - std::min(result.err.size(), cmd.limit().bytes);
    result.out.resize(result.out.size() - result.out_dropped);
    result.err.resize(result.err.size() - result.err_dropped);
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

run_operation::run_operation(const asio::any_io_executor& executor, run_kind kind,
                             run_handler handler)
    : executor_(executor), kind_(kind), handler_(std::move(handler)) {}

void run_operation::start(command&& cmd, asio::cancellation_slot slot) {
  try {
    prepare(cmd, kind_);
    core_ = std::make_shared<process_core>(executor_, std::move(cmd));
  } catch (...) {
    handler_.complete(std::current_exception(), {});
    return;
  }
  if (slot.is_connected()) {
    slot.assign([weak = weak_from_this()](asio::cancellation_type type) {
      const auto self = weak.lock();
      if (self && type != asio::cancellation_type::none) {
        self->cancel();
      }
    });
  }
  core_->async_launch({}, {[self = shared_from_this()](std::exception_ptr error, const core_ptr&) {
                             self->launched(std::move(error));
                           },
                           executor_});
}

void run_operation::cancel() {
  cancelled_ = true;
  core_->cancel_run();
  core_->hurry_stop();
}

void run_operation::stop(duration grace) {
  if (stop_grace_ || stopping_) {
    return;
  }
  stop_grace_ = grace;
  if (launched_) {
    begin_stop({{stop_signal, grace}, kill_step()});
  } else {
    core_->cancel_run();
  }
}

void run_operation::begin_stop(std::vector<stop_step> steps) {
  stopping_ = true;
  core_->async_stop(
      std::move(steps), {},
      {[self = shared_from_this()](error_code, const stop_result&) { self->stop_ended(); },
       executor_});
}

void run_operation::launched(std::exception_ptr error) {
  launched_ = true;
  if (error) {
    completed_process nothing;
    nothing.cmd = core_->get_command();
    nothing.cancelled = cancelled_ || stop_grace_;
    if (nothing.cancelled) {
      error = std::make_exception_ptr(operation_error(asio::error::operation_aborted, nothing));
    }
    handler_.complete(std::move(error), std::move(nothing));
    return;
  }
  core_->async_communicate({}, run_deadline(*core_), {},
                           {[self = shared_from_this()](error_code ec, communicate_result got) {
                              self->communicated(ec, std::move(got));
                            },
                            executor_},
                           true);
  if (cancelled_) {
    core_->cancel_run(); // the signal came between the two
  } else if (stop_grace_) {
    begin_stop({{stop_signal, *stop_grace_}, kill_step()});
  }
}

void run_operation::communicated(error_code ec, communicate_result got) {
  if (!ec && !stopping_) {
    complete({}, std::move(got));
    return;
  }
  ended_.emplace();
  ended_->ec = ec;
  if (!ec) {
    ended_->got = std::move(got);
  }
  if (!stopping_) {
    begin_stop({kill_step()});
  } else if (ec) {
    core_->hurry_stop();
  }
}

void run_operation::stop_ended() {
  stopping_ = false;
  if (ended_) {
    complete(ended_->ec, std::move(ended_->got));
  } else {
    core_->end_drain();
  }
}

void run_operation::complete(error_code ec, std::optional<communicate_result> got) {
  completed_process result = core_->take_result(std::move(got));
  result.cancelled = stop_grace_.has_value();
  std::exception_ptr error = judge(*core_, result, ec, kind_);
  core_->drop(); // off the loop, before the caller can know that it may go
  handler_.complete(std::move(error), std::move(result));
}

} // namespace subproc::detail
