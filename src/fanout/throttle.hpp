#pragma once

#include "options.hpp"

#include <subproc/pool.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace fanout {

/// How many jobs the machine has room for: --load, --memfree, --adaptive of the options, which
/// outlive it.
class throttle {
public:
  explicit throttle(const options& chosen) : options_(chosen) {}

  /// As many of these (0: of one a core) as there are files for.
  std::size_t possible(std::size_t jobs) const;

  /// Whether one of the options was given.
  bool wanted() const { return options_.load || options_.free_memory != 0 || options_.adaptive; }

  /// How many may run; none more while the machine has enough to do.
  std::size_t window(const subproc::pool_summary& now);

private:
  void adapt();

  const options& options_;
  std::size_t adapted_ = SIZE_MAX; ///< how many may run, by --adaptive
  std::chrono::steady_clock::time_point adapted_at_{};
};

} // namespace fanout
