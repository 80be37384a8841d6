#include "throttle.hpp"

#include "console.hpp"
#include "machine.hpp"

#include <algorithm>

namespace fanout {
namespace {

constexpr double most_stalled = 10; // percent of the time

// Each holds two pipes and a pidfd, and one more while it starts; line by line two more pipes.
constexpr std::size_t own_files = 13;
constexpr std::size_t files_a_loop = 3;
constexpr std::size_t files_a_job = 4;
constexpr std::size_t files_a_streamed_job = 8;

} // namespace

std::size_t throttle::possible(std::size_t jobs) const {
  const auto cores = static_cast<std::size_t>(processors());
  const std::size_t wanted = jobs != 0 ? jobs : cores;
  return affordable(wanted, options_.by_line ? files_a_streamed_job : files_a_job,
                    own_files + std::min(wanted, cores) * files_a_loop);
}

std::size_t throttle::window(const subproc::pool_summary& now) {
  const bool loaded = options_.load && processes_that_run().value_or(0) >= *options_.load;
  const bool full =
      options_.free_memory != 0 && available_memory().value_or(SIZE_MAX) < options_.free_memory;
  if (options_.adaptive) {
    adapt();
  }
  return loaded || full ? now.running : adapted_;
}

// A quarter less while the machine stalls, one more a second while it does not.
void throttle::adapt() {
  const auto now = std::chrono::steady_clock::now();
  if (now - adapted_at_ < std::chrono::seconds(1)) {
    return;
  }
  adapted_at_ = now;
  adapted_ = std::min(adapted_, options_.jobs);
  adapted_ = stalled().value_or(0) > most_stalled ? adapted_ - adapted_ / 4 : adapted_ + 1;
}

} // namespace fanout
