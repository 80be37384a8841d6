#include "stop_machine.hpp"

#include "platform.hpp"

#include <algorithm>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr auto first_pause = std::chrono::milliseconds(1);
constexpr auto longest_pause = std::chrono::milliseconds(64);

} // namespace

stop_machine::stop_machine(std::vector<stop_step> steps, bool leader_only)
    : steps_(std::move(steps)), leader_only_(leader_only) {}

void stop_machine::begin(steady_clock::time_point now) noexcept {
  if (!done_) {
    enter_step(now);
  }
}

std::optional<int> stop_machine::take_signal() {
  if (signal_) {
    forced_ = forced_ || (*signal_ == kill_signal && !signals_.empty());
    signals_.push_back(*signal_);
  }
  const std::optional<int> taken = std::exchange(signal_, std::nullopt);
  return taken == 0 ? std::nullopt : taken;
}

void stop_machine::enter_step(steady_clock::time_point now) noexcept {
  signal_ = steps_[step_].signal;
  step_ends_ = steps_[step_].grace.after(now);
  step_over_ = false;
  pause_ = first_pause;
  if (exited_) {
    next_check_ = now + pause_;
  }
}

steady_clock::time_point stop_machine::wakes_at() const noexcept {
  return done_ ? steady_clock::time_point::max() : std::min(step_ends_, next_check_);
}

void stop_machine::exited(steady_clock::time_point now) noexcept {
  if (exited_ || done_) {
    return;
  }
  exited_ = true;
  if (leader_only_) {
    finish({});
  } else {
    check_ = true;
    next_check_ = now;
  }
}

void stop_machine::scope_checked(bool empty, steady_clock::time_point now) noexcept {
  check_ = false;
  if (done_) {
    return;
  }
  if (empty) {
    finish({});
  } else if (step_over_) {
    if (step_ + 1 == steps_.size()) {
      finish(make_error_code(errc::not_stopped));
    } else {
      ++step_;
      enter_step(now);
    }
  } else {
    next_check_ = now + pause_;
    pause_ = std::min<steady_clock::duration>(2 * pause_, longest_pause);
  }
}

void stop_machine::timer(steady_clock::time_point now) noexcept {
  if (done_) {
    return;
  }
  if (now >= step_ends_) {
    // A look first: the wake-up may be late, and the scope empty since.
    step_over_ = true;
    check_ = true;
    step_ends_ = steady_clock::time_point::max();
    next_check_ = steady_clock::time_point::max();
  } else if (now >= next_check_) {
    next_check_ = steady_clock::time_point::max();
    check_ = true;
  }
}

void stop_machine::escalate(std::vector<stop_step> steps, steady_clock::time_point now) {
  if (!done_ && steps_[step_].signal != kill_signal) {
    steps_ = std::move(steps);
    step_ = 0;
    enter_step(now);
  }
}

void stop_machine::finish(error_code ec) noexcept {
  if (done_) {
    return;
  }
  done_ = true;
  check_ = false;
  signal_.reset();
  outcome_ = ec;
}

} // namespace subproc::detail
