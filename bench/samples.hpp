#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace bench {

/// One measured spawn, in nanoseconds. A `held` of 0 says that it was not measured apart.
struct sample {
  std::int64_t wall =
      0; ///< from the call that spawns until the child is reaped and all is given back
  std::int64_t held = 0; ///< how long the call that spawns keeps its caller
};

using samples = std::vector<sample>;

inline std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// The value below which `share` of the values lie, interpolated; NaN when there are none.
inline double quantile(std::vector<double> values, double share) {
  if (values.empty()) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  std::sort(values.begin(), values.end());
  const double position = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const auto above = std::min(below + 1, values.size() - 1);
  const double rest = position - std::floor(position);
  return values[below] + rest * (values[above] - values[below]);
}

inline double median(const std::vector<double>& values) { return quantile(values, 0.5); }

inline std::vector<double> walls(const samples& from) {
  std::vector<double> values;
  values.reserve(from.size());
  for (const sample& one : from) {
    values.push_back(static_cast<double>(one.wall));
  }
  return values;
}

inline std::vector<double> helds(const samples& from) {
  std::vector<double> values;
  for (const sample& one : from) {
    if (one.held > 0) {
      values.push_back(static_cast<double>(one.held));
    }
  }
  return values;
}

} // namespace bench
