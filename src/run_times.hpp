#pragma once

#include <subproc/detail/export.hpp>
#include <subproc/duration.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace SUBPROC_NAMESPACE::detail {

/// The median of any number of run times in constant memory and time, within 1/32: a histogram
/// whose buckets grow with what they count, and a cursor on its middle.
class run_times {
public:
  void add(duration time) noexcept;
  std::uint64_t count() const noexcept { return count_; }
  duration median() const noexcept; ///< 0 without any
  duration longest() const noexcept { return longest_; }

private:
  static constexpr unsigned fine_bits = 5; ///< 32 buckets a power of two
  static constexpr std::size_t buckets = std::size_t(64 - fine_bits + 1) << fine_bits;

  static std::size_t bucket_of(std::uint64_t ns) noexcept;
  static std::uint64_t lowest_of(std::size_t bucket) noexcept;

  std::array<std::uint64_t, buckets> counts_{};
  std::uint64_t count_ = 0;
  std::size_t middle_ = 0;   ///< the median's bucket
  std::uint64_t before_ = 0; ///< how many are in lower ones
  duration longest_{};
};

} // namespace subproc::detail
