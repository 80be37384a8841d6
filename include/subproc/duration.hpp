#pragma once

#include <subproc/detail/export.hpp>

#include <chrono>
#include <compare>
#include <limits>
#include <type_traits>

namespace SUBPROC_NAMESPACE {

/// The clock of every time-out: monotonic, so that setting the wall clock changes nothing.
using steady_clock = std::chrono::steady_clock;

/// A span of time that takes any std::chrono::duration (`5s`, `0.5s`, `hours::max()`) and
/// saturates instead of overflowing. A fraction of a tick is rounded up; NaN counts as zero.
class duration {
public:
  using rep_type = steady_clock::duration;

  constexpr duration() noexcept = default;

  template <class Rep, class Period>
  constexpr duration(std::chrono::duration<Rep, Period> value) noexcept : value_(saturate(value)) {}

  constexpr rep_type count() const noexcept { return value_; }

  /// Seconds as a number, for texts.
  constexpr double seconds() const noexcept {
    return std::chrono::duration<double>(value_).count();
  }

  /// `from` plus this, at most time_point::max().
  constexpr steady_clock::time_point after(steady_clock::time_point from) const noexcept {
    if (value_ > rep_type::zero() && from > steady_clock::time_point::max() - value_) {
      return steady_clock::time_point::max();
    }
    return from + value_;
  }

  friend constexpr auto operator<=>(const duration&, const duration&) noexcept = default;

private:
  template <class Rep, class Period>
  static constexpr rep_type saturate(std::chrono::duration<Rep, Period> value) noexcept {
    using wide = std::chrono::duration<long double, rep_type::period>;
    const wide ticks = std::chrono::duration_cast<wide>(value);
    if (ticks != ticks) {
      return rep_type::zero();
    }
    if (ticks >= wide(rep_type::max())) {
      return rep_type::max();
    }
    if (ticks <= wide(rep_type::min())) {
      return rep_type::min();
    }
    // 0.1 as a double is a little above a tenth: what its own inexactness adds is no fraction.
    long double slack = 0;
    if constexpr (std::is_floating_point_v<Rep>) {
      slack = (ticks.count() < 0 ? -ticks.count() : ticks.count()) *
              static_cast<long double>(std::numeric_limits<Rep>::epsilon());
    }
    const auto whole = static_cast<rep_type::rep>(ticks.count());
    const long double rest = ticks.count() - static_cast<long double>(whole);
    if (rest > slack) {
      return rep_type(whole + 1);
    }
    return rep_type(rest < 0 && rest <= slack - 1 ? whole - 1 : whole);
  }

  rep_type value_{};
};

} // namespace subproc
