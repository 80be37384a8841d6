#pragma once

#include <subproc/command.hpp>
#include <subproc/detail/asio.hpp>
#include <subproc/detail/export.hpp>
#include <subproc/duration.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

namespace SUBPROC_NAMESPACE {

/// How a command of a pool failed. Kinds are combined with `|`.
enum class failure_kind : unsigned char {
  none = 0,
  status = 1,    ///< an exit code that the command does not accept
  signal = 2,    ///< ended by a signal that the command does not accept
  timeout = 4,   ///< its time-out, deadline, limit of silence, or the pool's time limit
  spawn = 8,     ///< it could not start
  output = 16,   ///< its output went over the limit, or could not be read
  cancelled = 32 ///< stopped by the pool or its user; never tried again
};

constexpr failure_kind operator|(failure_kind a, failure_kind b) noexcept {
  return static_cast<failure_kind>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}

constexpr bool contains(failure_kind set, failure_kind kind) noexcept {
  return (static_cast<unsigned>(set) & static_cast<unsigned>(kind)) != 0;
}

/// What did not succeed is tried again: the same command, after a delay that grows.
struct retry_policy {
  /// Tries after the first.
  unsigned retries = 0;
  /// Which failures are worth another try.
  failure_kind on =
      failure_kind::status | failure_kind::signal | failure_kind::timeout | failure_kind::spawn;
  /// Before the second try.
  duration delay{};
  /// Each further delay is so many times the one before, up to `longest_delay`.
  double factor = 2;
  duration longest_delay = std::chrono::minutes(5);
  /// The part of a delay, 0 to 1, of which a random share is taken off, so that what failed
  /// together does not come back together.
  double jitter = 0.5;
};

/// A try that is about to start.
struct job_try {
  std::uint64_t sequence = 0; ///< the command's place in the input, from 1
  unsigned number = 1;        ///< from 1
  std::size_t slot = 1;       ///< no other that runs has it: the lowest from 1 that was free
};

/// When a pool starts nothing more before its input ends.
struct halt_policy {
  enum class action : unsigned char {
    never,
    soon, ///< what runs ends in its own time
    now,  ///< what runs is stopped: SIGTERM, up to `grace`, then SIGKILL
  };
  enum class outcome : unsigned char { failed, succeeded, done };

  action what = action::never;
  /// Which final outcomes count; a failure that is tried again is none.
  outcome on = outcome::failed;
  /// So many of them.
  std::uint64_t count = 1;
  /// Instead of `count`: this share (in percent) of all that have ended, and at least three.
  std::optional<double> percent{};
  duration grace = std::chrono::seconds(5);
};

/// What a pool has done and is doing.
struct pool_summary {
  std::uint64_t started = 0; ///< commands that were taken up, however often each was tried
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;  ///< of those that have ended: any other end
  std::uint64_t retried = 0; ///< tries after the first
  std::uint64_t refused = 0; ///< starts put off because the system had no room (EAGAIN, EMFILE …)
  std::size_t running = 0;
  std::size_t queued = 0;  ///< ready to start
  std::size_t waiting = 0; ///< for their next try
  std::size_t window = 0;  ///< how many may run at once now
  bool halted = false;     ///< by its halt_policy, stop(), drain() or kill()
  /// Of the run times of tries that succeeded, within 3 %; 0 without any.
  duration median{};
  duration longest{};
};

struct pool_options {
  /// Commands that run at once; 0 means one a core. When the system refuses a start for lack of
  /// room (EAGAIN, EMFILE, ENFILE, ENOMEM), the pool goes on with as many as run then, and tries
  /// one more after each round of starts that went well; such a command has lost no try.
  std::size_t concurrency = 0;
  /// How many may run at once just now, from 0 to `concurrency`: by load, by free memory. Asked
  /// before a start, and again every `window_interval` while it holds one back. What runs goes on.
  std::function<std::size_t(const pool_summary& now)> window{};
  duration window_interval = std::chrono::milliseconds(250);
  /// May change a command before each of its tries: by the slot, more memory for the second. What
  /// it was changed to is what the next try gets. Called on the executor, as the source; what it
  /// throws stops the pool.
  std::function<void(command& next, const job_try& which)> prepare{};
  /// Results in the order of the input. How far others may run ahead of a slow one is bounded.
  bool keep_order = false;
  /// Starts a second, 0 for no bound; after a pause up to `burst` of them at once.
  double rate = 0;
  std::size_t burst = 1;
  /// A time-out for each try: so many times the median of those that succeeded, from the third on.
  std::optional<double> timeout_factor{};
  retry_policy retry{};
  halt_policy halt{};
  /// On whose threads commands are started, watched and read: each on the one of these that has
  /// the fewest just then. Best are as many loops as there are cores, `io_context(1)` on a thread
  /// each (several threads of one loop wake each other for every command). That spares each command
  /// two changes of threads, and holds a thread for each start (some 50 µs, more from a slow disk):
  /// for programs whose loops have little else to do. What shall die with its parent dies with that
  /// thread. Empty: a start has a thread of the library's own, and the pool's executor the rest.
  std::vector<asio::any_io_executor> job_executors{};
  /// For the jitter; the same seed gives the same delays. Unset: a random one.
  std::optional<std::uint64_t> seed{};
};

} // namespace subproc
