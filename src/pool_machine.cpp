#include "pool_machine.hpp"

#include <algorithm>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::size_t ahead_a_slot = 16;

} // namespace

pool_machine::pool_machine(std::size_t concurrency, bool keep_order)
    : concurrency_(std::max<std::size_t>(1, concurrency)), most_ahead_(concurrency_ * ahead_a_slot),
      keep_order_(keep_order) {}

bool pool_machine::wants_command() const noexcept {
  return !ended_ && !waiting_ && running_ < concurrency_ &&
         (!keep_order_ || undelivered() < most_ahead_);
}

std::uint64_t pool_machine::started() {
  ++running_;
  if (keep_order_) {
    finished_.push_back(false);
  }
  return ++last_;
}

void pool_machine::finished(std::uint64_t sequence) {
  --running_;
  if (keep_order_) {
    finished_[static_cast<std::size_t>(sequence - delivered_ - 1)] = true;
  } else {
    ready_.push_back(sequence);
  }
}

std::optional<std::uint64_t> pool_machine::take_deliverable() {
  if (keep_order_) {
    if (finished_.empty() || !finished_.front()) {
      return std::nullopt;
    }
    finished_.pop_front();
    return ++delivered_;
  }
  if (ready_.empty()) {
    return std::nullopt;
  }
  const std::uint64_t next = ready_.front();
  ready_.pop_front();
  return next;
}

} // namespace subproc::detail
