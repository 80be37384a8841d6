#include "communicate_machine.hpp"

#include <algorithm>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {

communicate_machine::communicate_machine(const setup& streams)
    : in_piped_(streams.in), in_open_(streams.in), drain_timeout_(streams.drain_timeout),
      quiet_limit_(streams.inactivity_timeout), started_(streams.started),
      ordered_(streams.ordered) {
  outputs_[0] = {streams.out, streams.out, streams.out_teed, capture(streams.limit), {}, 0, {}};
  outputs_[1] = {streams.err, streams.err, streams.err_teed, capture(streams.limit), {}, 0, {}};
}

error_code communicate_machine::begin(std::string input, steady_clock::time_point deadline,
                                      bool last) {
  if (taken_) {
    return make_error_code(errc::already_taken);
  }
  if (!input.empty()) {
    if (!in_piped_ || input_given_) {
      return detail::generic_error(std::errc::invalid_argument);
    }
    input_ = std::move(input);
    input_done_ = exited_ ? input_.size() : 0; // as for an exit under way
  }
  input_given_ = true;
  deadline_ = deadline;
  last_ = last;
  active();
  quiet_wake_ = quiet_limit_ ? quiet_limit_->after(active_at_) : steady_clock::time_point::max();
  sweeping_ = false;
  done_ = false;
  outcome_ = {};
  check_end();
  return {};
}

bool communicate_machine::begin_drain() {
  if (outcome_ != asio::error::timed_out && outcome_ != errc::output_limit &&
      outcome_ != errc::inactive) {
    return false;
  }
  for (output_state& each : outputs_) {
    each.kept.drop_excess();
  }
  quiet_limit_.reset();
  return !begin({}, steady_clock::time_point::max(), true);
}

std::string_view communicate_machine::to_write() const noexcept {
  if (done_ || !in_open_) {
    return {};
  }
  return std::string_view(input_).substr(input_done_);
}

bool communicate_machine::wants_close_in() const noexcept {
  return !done_ && in_open_ && input_done_ == input_.size();
}

bool communicate_machine::wants_read(stream_id stream) const noexcept {
  // A sink that is full holds back its stream, but what a sweep finds decides about the outcome.
  return !done_ && output(stream).open && (sweeping_ || to_pass(stream).empty());
}

std::string_view communicate_machine::to_pass(stream_id stream) const noexcept {
  return std::string_view(output(stream).to_pass).substr(output(stream).passed);
}

steady_clock::time_point communicate_machine::wakes_at() const noexcept {
  return done_ ? steady_clock::time_point::max() : std::min({deadline_, drain_until_, quiet_wake_});
}

void communicate_machine::wrote(std::size_t bytes) noexcept {
  input_done_ += bytes;
  active();
}

void communicate_machine::write_failed(error_code ec) noexcept {
  // A child that does not read its input is its own affair (as in Python).
  input_done_ = input_.size();
  if (ec != asio::error::broken_pipe) {
    finish(ec);
  }
}

void communicate_machine::closed_in() noexcept {
  in_open_ = false;
  input_done_ = 0;
  input_ = {};
  check_end();
}

void communicate_machine::received(stream_id stream, std::string_view data) {
  output_state& from = output(stream);
  const std::size_t before = from.kept.size();
  from.kept.append(data);
  active();
  if (ordered_) {
    add_piece(stream, before, from.kept.size() - before);
  }
  if (from.teed && !from.tee_error) {
    from.to_pass.append(data);
  }
  if (from.kept.over_limit() && !std::exchange(limit_told_, true)) {
    finish(make_error_code(errc::output_limit));
  }
}

void communicate_machine::make_room(stream_id stream, std::size_t size) {
  output_state& from = output(stream);
  from.kept.make_room(size);
  if (from.teed) {
    from.to_pass.reserve(from.to_pass.size() + size);
  }
  if (ordered_ && pieces_.size() == pieces_.capacity()) {
    pieces_.reserve(2 * pieces_.size() + 1);
  }
}

// Reads that follow each other closely are one piece, so that a flood costs no memory.
void communicate_machine::add_piece(stream_id stream, std::uint64_t offset, std::size_t size) {
  constexpr std::chrono::milliseconds same_time(10);
  const auto which = stream == stream_id::err ? output_stream::err : output_stream::out;
  const std::chrono::nanoseconds time = now_ - started_;
  if (!pieces_.empty() && pieces_.back().stream == which &&
      time - pieces_.back().time <= same_time) {
    pieces_.back().size += size;
  } else if (size != 0) {
    pieces_.push_back({which, offset, size, time});
  }
}

void communicate_machine::passed(stream_id stream, std::size_t bytes) noexcept {
  output_state& to = output(stream);
  to.passed += bytes;
  active();
  if (to.passed == to.to_pass.size()) {
    to.to_pass.clear();
    to.passed = 0;
    check_end();
  }
}

void communicate_machine::pass_failed(stream_id stream, error_code ec) noexcept {
  output_state& to = output(stream);
  to.tee_error = ec;
  to.to_pass = {};
  to.passed = 0;
  active();
  check_end();
}

bool communicate_machine::passing() const noexcept {
  return !to_pass(stream_id::out).empty() || !to_pass(stream_id::err).empty();
}

void communicate_machine::give_up_passing(error_code ec) noexcept {
  for (const stream_id stream : {stream_id::out, stream_id::err}) {
    if (!to_pass(stream).empty()) {
      pass_failed(stream, ec);
    }
  }
}

// A child that a full sink holds back is not to blame.
bool communicate_machine::too_quiet() const noexcept {
  return quiet_limit_ && !passing() && now_ >= quiet_limit_->after(active_at_);
}

void communicate_machine::active() noexcept { active_at_ = now_; }

void communicate_machine::ended(stream_id stream) noexcept {
  output(stream).open = false;
  check_end();
}

void communicate_machine::read_failed(stream_id stream, error_code ec) noexcept {
  output(stream).open = false;
  finish(ec);
}

void communicate_machine::exited(exit_status status, steady_clock::time_point now) noexcept {
  if (exited_) {
    return;
  }
  exited_ = true;
  status_ = status;
  // Nobody is left to read the rest; a grandchild that holds the pipe would stall us.
  input_done_ = input_.size();
  if (drain_timeout_ && any_open()) {
    drain_until_ = drain_timeout_->after(now);
  }
  check_end();
}

void communicate_machine::timer(steady_clock::time_point now) noexcept {
  if (done_) {
    return;
  }
  now_ = now;
  drain_over_ = drain_over_ || now >= drain_until_;
  sweeping_ = drain_over_ || now >= deadline_ || too_quiet();
  if (quiet_limit_) {
    // Not moved with each byte: that would set the loop's timer anew as often.
    quiet_wake_ = quiet_limit_->after(passing() ? now : active_at_);
  }
}

void communicate_machine::scope_ended() noexcept {
  if (!done_ && exited_) {
    drain_over_ = scope_over_ = sweeping_ = true;
  }
}

void communicate_machine::swept() noexcept {
  if (done_ || !std::exchange(sweeping_, false)) {
    return;
  }
  if (drain_over_) {
    pipes_held_ = pipes_held_ || any_open();
    outputs_[0].open = outputs_[1].open = false;
    drain_until_ = steady_clock::time_point::max();
    if (scope_over_) {
      give_up_passing(detail::generic_error(std::errc::operation_canceled));
    }
    check_end();
    if (done_) {
      return;
    }
  }
  if (now_ >= deadline_) {
    if (last_ && exited_ && !any_open()) {
      give_up_passing(detail::generic_error(std::errc::timed_out));
    } else if (!exited_ || any_open() || passing()) {
      finish(asio::error::timed_out);
    }
  } else if (too_quiet() && (!exited_ || any_open())) {
    finish(make_error_code(errc::inactive));
  } else if (quiet_limit_) {
    quiet_wake_ = quiet_limit_->after(active_at_);
  }
}

void communicate_machine::check_end() noexcept {
  if (exited_ && !in_open_ && !any_open() && !passing()) {
    ended_ = ended_ || !done_;
    finish({});
  }
}

void communicate_machine::finish(error_code ec) noexcept {
  if (!done_) {
    done_ = true;
    sweeping_ = false;
    outcome_ = ec;
  }
}

communicate_result communicate_machine::summary() const {
  communicate_result result;
  result.status = status_;
  result.out_captured = outputs_[0].piped;
  result.err_captured = outputs_[1].piped;
  result.pipes_held = pipes_held_;
  result.out_tee_error = outputs_[0].tee_error;
  result.err_tee_error = outputs_[1].tee_error;
  return result;
}

communicate_result communicate_machine::take() {
  if (ended_ && !taken_) {
    return take_all();
  }
  communicate_result result = summary();
  result.out_held = outputs_[0].kept.size();
  result.err_held = outputs_[1].kept.size();
  return result;
}

communicate_result communicate_machine::take_all() {
  communicate_result result = summary();
  result.out_dropped = outputs_[0].kept.dropped();
  result.err_dropped = outputs_[1].kept.dropped();
  result.out = outputs_[0].kept.take();
  result.err = outputs_[1].kept.take();
  result.pieces = std::exchange(pieces_, {});
  taken_ = outputs_[0].piped || outputs_[1].piped;
  return result;
}

} // namespace subproc::detail
