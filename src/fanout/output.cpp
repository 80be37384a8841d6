#include "output.hpp"

#include "console.hpp"

#include <utility>

namespace fanout {
namespace {

constexpr std::size_t most_waiting = 16 << 20;

} // namespace

output::output(callbacks tell) : tell_(std::move(tell)) {
  start_thread([this] { run(); });
}

void output::add(piece next) {
  if (next.text.empty()) {
    return;
  }
  const std::lock_guard lock(mutex_);
  bytes_ += next.text.size();
  pieces_.push_back(std::move(next));
  more_.notify_one();
}

bool output::full() const {
  const std::lock_guard lock(mutex_);
  asked_for_room_ = bytes_ >= most_waiting;
  return asked_for_room_;
}

bool output::empty() const {
  const std::lock_guard lock(mutex_);
  return pieces_.empty();
}

void output::flush() {
  const std::lock_guard lock(mutex_);
  flushing_ = true;
  more_.notify_one();
}

void output::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    more_.wait(lock, [this] { return !pieces_.empty() || flushing_; });
    if (pieces_.empty()) {
      flushing_ = false;
      lock.unlock();
      tell_.written();
      lock.lock();
      continue;
    }
    const piece& first = pieces_.front(); // others are only added behind it
    const bool dropped = failed_ && !first.best_effort;
    lock.unlock();
    const int error = dropped ? 0 : write_all(first.descriptor, first.text);
    if (error != 0 && !first.best_effort) {
      tell_.failed(first.descriptor, error);
    }
    lock.lock();
    failed_ = failed_ || (error != 0 && !first.best_effort);
    bytes_ -= first.text.size();
    pieces_.pop_front();
    if (asked_for_room_ && bytes_ < most_waiting / 2) {
      asked_for_room_ = false;
      lock.unlock();
      tell_.room();
      lock.lock();
    }
  }
}

} // namespace fanout
