#include "exit_list.hpp"

#include <algorithm>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr int share = 20; // looking at all takes one part in twenty of the time
constexpr steady_clock::duration least_pause = std::chrono::milliseconds(1);
constexpr steady_clock::duration deaf_pause = std::chrono::milliseconds(10);
constexpr steady_clock::duration most_pause = std::chrono::milliseconds(250);

} // namespace

void exit_list::add(const std::shared_ptr<entry>& child, steady_clock::time_point now) {
  if (running_.empty()) {
    last_ = now;
  }
  running_.push_back(child.get());
  child->place = std::prev(running_.end());
  child->listed = true;
  try {
    entry*& numbered = by_number_[child->pid];
    if (numbered) {
      numbered->gone = true;
      if (numbered->listed) {
        take_off(*numbered);
        announce_(*numbered);
      }
    }
    numbered = child.get();
  } catch (...) {
    take_off(*child);
    throw;
  }
  look_at(*child);
}

void exit_list::remove(entry& child) noexcept {
  take_off(child);
  const auto numbered = by_number_.find(child.pid);
  if (numbered != by_number_.end() && numbered->second == &child) {
    by_number_.erase(numbered);
  }
}

void exit_list::heard(std::span<const pid_t> named, steady_clock::time_point now) {
  hears_ = true;
  if (running_.size() <= few) {
    last_ = now;
    look_at_all();
    return;
  }
  for (const pid_t pid : named) {
    const auto numbered = by_number_.find(pid);
    if (numbered != by_number_.end() && numbered->second->listed) {
      look_at(*numbered->second);
    }
  }
  rung_ = true;
}

std::optional<steady_clock::time_point> exit_list::wake_at() const noexcept {
  if (running_.empty()) {
    return std::nullopt;
  }
  return last_ + (rung_ ? pause_ : quiet_pause());
}

// A signal that never comes must not cost much more than one that does.
steady_clock::duration exit_list::quiet_pause() const noexcept {
  return std::max(pause_, hears_ ? most_pause : deaf_pause);
}

void exit_list::wake(steady_clock::time_point now) {
  const auto due = wake_at();
  if (!due || now < *due) {
    return;
  }
  sweeping_ = true;
  began_ = now;
  const bool rung = std::exchange(rung_, false);
  if (rung && !any_ended_()) {
    return; // those who were named were all
  }
  if (look_at_all() != 0 && !rung) {
    hears_ = false;
  }
}

void exit_list::swept(steady_clock::time_point now) noexcept {
  if (std::exchange(sweeping_, false)) {
    last_ = now;
    pause_ = std::max(least_pause, share * (now - began_));
  }
}

bool exit_list::look_at(entry& child) {
  const found what = look_(child.pid);
  if (what == found::running) {
    return false;
  }
  if (what == found::gone) {
    child.gone = true;
  }
  take_off(child);
  announce_(child);
  return true;
}

std::size_t exit_list::look_at_all() {
  std::size_t ended = 0;
  for (auto it = running_.begin(); it != running_.end();) {
    entry& child = **it++;
    ended += look_at(child) ? 1 : 0;
  }
  return ended;
}

void exit_list::take_off(entry& child) noexcept {
  if (std::exchange(child.listed, false)) {
    running_.erase(child.place);
  }
}

} // namespace subproc::detail
