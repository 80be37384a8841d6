#include "output.hpp"

#include <cerrno>
#include <csignal>
#include <string_view>
#include <thread>
#include <utility>

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

namespace fanout {
namespace {

constexpr std::size_t most_waiting = 16 << 20;

/// The errno, or 0.
int write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(descriptor, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) { // somebody who shares the pipe or terminal wants it so
      pollfd room{descriptor, POLLOUT, 0};
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

} // namespace

output::output(callbacks tell) : tell_(std::move(tell)) {
  // Signals are for the loop's thread.
  sigset_t all;
  sigset_t old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  std::thread([this] { run(); }).detach();
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

void output::put(int descriptor, std::string text, bool best_effort) {
  if (text.empty()) {
    return;
  }
  const std::lock_guard lock(mutex_);
  bytes_ += text.size();
  pieces_.push_back({descriptor, std::move(text), best_effort});
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
