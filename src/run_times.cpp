#include "run_times.hpp"

#include <algorithm>
#include <bit>

namespace SUBPROC_NAMESPACE::detail {

std::size_t run_times::bucket_of(std::uint64_t ns) noexcept {
  const unsigned bits = static_cast<unsigned>(std::bit_width(ns));
  if (bits <= fine_bits + 1) {
    return static_cast<std::size_t>(ns);
  }
  const unsigned shift = bits - fine_bits - 1;
  return (std::size_t(shift) << fine_bits) + static_cast<std::size_t>(ns >> shift);
}

std::uint64_t run_times::lowest_of(std::size_t bucket) noexcept {
  if (bucket < std::size_t(2) << fine_bits) {
    return bucket;
  }
  const std::size_t shift = (bucket >> fine_bits) - 1;
  return static_cast<std::uint64_t>(bucket - (shift << fine_bits)) << shift;
}

void run_times::add(duration time) noexcept {
  const auto ns = std::chrono::nanoseconds(std::max(time, duration()).count()).count();
  const std::size_t bucket = bucket_of(static_cast<std::uint64_t>(ns));
  longest_ = std::max(longest_, time);
  ++counts_[bucket];
  ++count_;
  before_ += bucket < middle_ ? 1 : 0;
  const std::uint64_t rank = (count_ - 1) / 2;
  while (before_ > rank) {
    before_ -= counts_[--middle_];
  }
  while (before_ + counts_[middle_] <= rank) {
    before_ += counts_[middle_++];
  }
}

duration run_times::median() const noexcept {
  return count_ == 0 ? duration() : duration(std::chrono::nanoseconds(lowest_of(middle_)));
}

} // namespace subproc::detail
