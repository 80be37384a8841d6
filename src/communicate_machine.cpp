#include "communicate_machine.hpp"

#include <algorithm>
#include <utility>

namespace subproc::detail {

communicate_machine::communicate_machine(const setup& streams)
    : in_piped_(streams.in), in_open_(streams.in), drain_timeout_(streams.drain_timeout) {
  outputs_[0] = {streams.out, streams.out, capture(streams.limit)};
  outputs_[1] = {streams.err, streams.err, capture(streams.limit)};
}

error_code communicate_machine::begin(std::string input, steady_clock::time_point deadline) {
  if (taken_) {
    return make_error_code(errc::already_taken);
  }
  if (!input.empty()) {
    if (!in_piped_ || input_given_) {
      return make_error_code(std::errc::invalid_argument);
    }
    input_ = std::move(input);
    input_done_ = exited_ ? input_.size() : 0; // as for an exit under way
  }
  input_given_ = true;
  deadline_ = deadline;
  sweeping_ = false;
  done_ = false;
  outcome_ = {};
  check_end();
  return {};
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
  return !done_ && output(stream).open;
}

steady_clock::time_point communicate_machine::wakes_at() const noexcept {
  return done_ ? steady_clock::time_point::max() : std::min(deadline_, drain_until_);
}

void communicate_machine::wrote(std::size_t bytes) noexcept { input_done_ += bytes; }

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
  output_stream& from = output(stream);
  from.kept.append(data);
  if (from.kept.over_limit() && !std::exchange(limit_told_, true)) {
    finish(make_error_code(errc::output_limit));
  }
}

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
  drain_over_ = drain_over_ || now >= drain_until_;
  sweeping_ = drain_over_ || now >= deadline_;
}

void communicate_machine::scope_ended() noexcept {
  if (!done_ && exited_) {
    drain_over_ = sweeping_ = true;
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
    check_end();
  } else if (!exited_ || any_open()) {
    finish(asio::error::timed_out);
  }
}

void communicate_machine::check_end() noexcept {
  if (exited_ && !in_open_ && !any_open()) {
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
  taken_ = outputs_[0].piped || outputs_[1].piped;
  return result;
}

} // namespace subproc::detail
