#pragma once

#include "platform.hpp"

#include <asio/prefer.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <span>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {

/// The time of a child that does not go by the steady clock. It is told as the steady clock's, so
/// that a command's deadline means something by it.
/// Thread safety: safe, also with the mutex of a core held; it takes none of a core.
class time_source {
public:
  virtual ~time_source() = default;

  virtual steady_clock::time_point now() const noexcept = 0;

  /// Calls `wake` once when that time has come, on the thread that lets it come, and under a mutex
  /// of this: it may only post or set an event. What is returned takes it back when it goes; then
  /// no call is under way any more.
  virtual std::shared_ptr<void> call_at(steady_clock::time_point when,
                                        std::function<void()> wake) = 0;

  /// As detail::wait_ready, until a time of this, or until one of the steady clock.
  virtual void wait_ready(std::span<wait_entry> entries, steady_clock::time_point until,
                          steady_clock::time_point steady_until) = 0;
};

// Null stands for the steady clock.

inline steady_clock::time_point now_by(const std::shared_ptr<time_source>& clock) noexcept {
  return clock ? clock->now() : steady_clock::now();
}

/// `pause`: no longer than that, of real time; 0 for no such bound.
inline void wait_by(const std::shared_ptr<time_source>& clock, std::span<wait_entry> entries,
                    steady_clock::time_point until, steady_clock::duration pause) {
  const auto steady_until =
      pause == pause.zero() ? steady_clock::time_point::max() : steady_clock::now() + pause;
  if (clock) {
    clock->wait_ready(entries, until, steady_until);
  } else {
    wait_ready(entries, std::min(until, steady_until));
  }
}

/// Posts `action` when that time has come. Until then the loop has work, as with a timer.
template <class Action>
std::shared_ptr<void> post_at(time_source& clock, steady_clock::time_point when,
                              const asio::any_io_executor& executor, Action action) {
  return clock.call_at(
      when, [executor = asio::prefer(executor, asio::execution::outstanding_work.tracked),
             action = std::move(action)] { asio::post(executor, action); });
}

} // namespace subproc::detail
