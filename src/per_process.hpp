#pragma once

#include "platform.hpp"

#include <atomic>
#include <memory>

namespace SUBPROC_NAMESPACE::detail {

/// The one T of this process: made at first need, immortal, because children and threads may
/// outlive static destruction. A program that forks gets another: the threads of its parent's did
/// not come along, and somebody may have held its lock. A T may be made in vain.
template <class T>
T& of_this_process() {
  struct owned {
    long process = process_number();
    T value;
  };
  static std::atomic<owned*> current{nullptr};
  owned* seen = current.load(std::memory_order_acquire);
  while (!seen || seen->process != process_number()) {
    auto fresh = std::make_unique<owned>();
    if (current.compare_exchange_strong(seen, fresh.get(), std::memory_order_acq_rel)) {
      seen = fresh.release();
    }
  }
  return seen->value;
}

} // namespace subproc::detail
