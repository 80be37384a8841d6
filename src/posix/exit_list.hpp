#pragma once

#include <subproc/duration.hpp>
#include <subproc/launcher.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>

#include <sys/types.h>

namespace SUBPROC_NAMESPACE::detail {

/// Decides which children to look at after SIGCHLD, which is coalesced and names one child at the
/// most. It does no I/O: it looks and tells through functions, and time is an argument. Of many
/// children not all are looked at for each signal, which would be n² looks for n ends: those that
/// signals name at once, the others soon, so that looking takes no more than a small part of the
/// time.
class exit_list {
public:
  /// A child whose end is announced once.
  struct entry {
    explicit entry(pid_t number, unique_handle to_ring = {})
        : pid(number), bell(std::move(to_ring)) {}

    const pid_t pid;
    unique_handle bell;
    /// The number is no longer that of this child: nobody may wait for it or signal it. Set under
    /// the owner's lock, read without.
    std::atomic<bool> gone{false};
    bool listed = false;
    std::list<entry*>::iterator place{};
  };

  enum class found : unsigned char { running, ended, gone };

  exit_list(std::function<found(pid_t)> look, std::function<bool()> any_ended,
            std::function<void(entry&)> announce)
      : look_(std::move(look)), any_ended_(std::move(any_ended)), announce_(std::move(announce)) {}

  /// Takes a child up and looks at it once, as it may have ended before. A former child of its
  /// number is gone.
  void add(const std::shared_ptr<entry>& child, steady_clock::time_point now);

  /// Nobody is going to ask for it any more. The number may be that of a new entry.
  void remove(entry& child) noexcept;

  /// Signals have come since the last call, and have named these.
  void heard(std::span<const pid_t> named, steady_clock::time_point now);

  /// Whether signals reach us at all. Without them all are looked at by time; ends that no signal
  /// has told of show that none comes.
  void hears(bool signals) noexcept { hears_ = signals; }
  bool hears() const noexcept { return hears_; }

  /// When wake() is due; nothing while there is nobody to look at.
  std::optional<steady_clock::time_point> wake_at() const noexcept;

  /// Looks at all if that is due. swept() must follow, with the time after it.
  void wake(steady_clock::time_point now);
  void swept(steady_clock::time_point now) noexcept;

  std::size_t running() const noexcept { return running_.size(); }

private:
  static constexpr std::size_t few = 64; ///< looked at for each signal

  bool look_at(entry& child);
  std::size_t look_at_all();
  void take_off(entry& child) noexcept;
  steady_clock::duration quiet_pause() const noexcept;

  std::function<found(pid_t)> look_;
  std::function<bool()> any_ended_;
  std::function<void(entry&)> announce_;
  std::unordered_map<pid_t, entry*> by_number_;
  std::list<entry*> running_;
  bool hears_ = true;
  bool rung_ = false; ///< and not all were looked at since
  bool sweeping_ = false;
  steady_clock::time_point began_{};
  steady_clock::time_point last_{};
  steady_clock::duration pause_ = std::chrono::milliseconds(1);
};

} // namespace subproc::detail
