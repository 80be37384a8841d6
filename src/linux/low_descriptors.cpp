#include "low_descriptors.hpp"

#include <mutex>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr int high = 64;        // copying a table of this size is not worth a thought
constexpr int still_low = 1024; // a number above it would not help
constexpr std::size_t reserve = 24;

struct store {
  std::mutex mutex;
  bool filled = false;
  std::vector<int> free;
};

store& slots() {
  static store* const instance = new store; // used by threads that outlive static destruction
  return *instance;
}

// A number is held by a descriptor that stands for nothing: O_PATH of the root directory.
int hold_number() noexcept { return ::open("/", O_PATH | O_CLOEXEC); }

// A program that closes all it does not know, as daemons do, may have the number for itself now.
bool is_held(int number) noexcept {
  const int flags = ::fcntl(number, F_GETFL);
  return flags >= 0 && (flags & O_PATH) != 0;
}

// With the mutex held; -1 when none is left.
int take_number(store& s) noexcept {
  while (!s.free.empty()) {
    const int number = s.free.back();
    s.free.pop_back();
    if (is_held(number)) {
      return number;
    }
  }
  return -1;
}

void fill(store& s) {
  s.filled = true;
  s.free.reserve(reserve);
  while (s.free.size() < reserve) {
    const int number = hold_number();
    if (number < 0) {
      break;
    }
    if (number >= still_low) {
      ::close(number);
      break;
    }
    s.free.push_back(number);
  }
}

} // namespace

low_descriptors::lease low_descriptors::lower(launch_plan& plan) {
  lease taken;
  child_plan& child = plan.child();
  taken.plan_ = &child;
  std::size_t wanted = 0;
  for (std::size_t i = 0; i < child.move_count; ++i) {
    wanted += child.moves[i].source >= high ? 1 : 0;
  }
  if (wanted == 0 || wanted > lease::most) {
    return taken;
  }
  store& s = slots();
  {
    const std::lock_guard lock(s.mutex);
    if (!s.filled) {
      fill(s);
    }
    if (s.free.size() < wanted) {
      return taken;
    }
    for (std::size_t i = 0; taken.count_ < wanted; ++i) {
      if (child.moves[i].source >= high) {
        const int number = take_number(s);
        if (number < 0) {
          break;
        }
        taken.taken_[taken.count_++] = {number, i, child.moves[i].source};
      }
    }
  }
  for (std::size_t i = 0; i < taken.count_; ++i) {
    const lease::slot& slot = taken.taken_[i];
    if (::dup3(slot.source, slot.number, O_CLOEXEC) >= 0) {
      child.moves[slot.move].source = slot.number;
    }
  }
  return taken;
}

low_descriptors::lease::~lease() {
  if (count_ == 0) {
    return;
  }
  // The pipe end must not stay open here: its reader would wait for an end-of-file for ever.
  const int blank = hold_number();
  for (std::size_t i = 0; i < count_; ++i) {
    plan_->moves[taken_[i].move].source = taken_[i].source;
    if (blank >= 0) {
      ::dup3(blank, taken_[i].number, O_CLOEXEC);
    } else {
      ::close(taken_[i].number);
    }
  }
  if (blank >= 0) {
    ::close(blank);
    store& s = slots();
    const std::lock_guard lock(s.mutex);
    for (std::size_t i = 0; i < count_; ++i) {
      s.free.push_back(taken_[i].number);
    }
  }
}

} // namespace subproc::detail
