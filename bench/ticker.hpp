#pragma once

#include "samples.hpp"

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

namespace bench {

/// A timer of 1 ms that is armed anew each time it fires: how late a busy loop serves others.
class ticker {
public:
  explicit ticker(asio::io_context& context) : timer_(context) { arm(); }

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
    timer_.async_wait([this, armed](const asio::error_code& error) {
      if (error) {
        return;
      }
      ticks_.push_back({now_ns() - armed, 0});
      if (!stopped_) {
        arm();
      }
    });
  }

  asio::steady_timer timer_;
  samples ticks_;
  bool stopped_ = false;
};

} // namespace bench
