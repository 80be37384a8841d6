#pragma once

// The templates that the parts of process_core share.

#include "process_core.hpp"

namespace SUBPROC_NAMESPACE::detail {

/// Calls (this->*woken)(generation) at that time of the clock; the mutex is not held then.
template <class Member>
void process_core::set_timer(timer& what, const std::shared_ptr<time_source>& clock,
                             steady_clock::time_point when, Member woken) {
  if (when == what.armed_for) {
    return;
  }
  disarm(what);
  if (when == steady_clock::time_point::max()) {
    return;
  }
  what.armed_for = when;
  if (clock) {
    what.alarm = post_at(*clock, when, executor_,
                         [self = shared_from_this(), woken, generation = what.generation] {
                           (self.get()->*woken)(generation);
                         });
    return;
  }
  if (!what.clock) {
    what.clock = std::make_unique<asio::steady_timer>(executor_);
  }
  what.clock->expires_at(when);
  what.clock->async_wait(
      [self = shared_from_this(), woken, generation = what.generation](error_code ec) {
        if (!ec) {
          (self.get()->*woken)(generation);
        }
      });
}

/// Calls action(*this) when the slot's signal is emitted, as long as this lives.
template <class Action>
void process_core::on_cancel(asio::cancellation_slot slot, Action action) {
  if (slot.is_connected()) {
    slot.assign([weak = weak_from_this(), action](asio::cancellation_type type) {
      if (type != asio::cancellation_type::none) {
        if (const auto self = weak.lock()) {
          action(*self);
        }
      }
    });
  }
}

} // namespace subproc::detail
