#pragma once

#include "samples.hpp"

#include <chrono>

namespace bench {

/// A timer of 1 ms that is armed anew each time it fires: how late a busy loop serves others.
/// `Timer` is the steady_timer of Asio or of Boost.Asio.
template <class Timer>
class ticker {
public:
  template <class Context>
  explicit ticker(Context& context) : timer_(context) {
    arm();
  }

  void stop() {
    stopped_ = true;
    timer_.cancel();
  }

  /// How long each tick took, which is 1 ms at the best.
  const samples& ticks() const { return ticks_; }

private:
  void arm() {
    const auto armed = now_ns();
    timer_.expires_after(std::chrono::milliseconds(1));
    timer_.async_wait([this, armed](const auto& error) {
      if (error) {
        return;
      }
      ticks_.push_back({now_ns() - armed, 0});
      if (!stopped_) {
        arm();
      }
    });
  }

  Timer timer_;
  samples ticks_;
  bool stopped_ = false;
};

} // namespace bench
