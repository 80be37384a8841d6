#include "platform.hpp"

#include "system.hpp"

#include <subproc/launcher.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <vector>

#include <poll.h>
#include <signal.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE {

void unique_handle::reset(native_handle_type handle) noexcept {
  const native_handle_type old = std::exchange(handle_, handle);
  if (old != detail::invalid_handle) {
    ::close(old);
  }
}

namespace detail {
namespace {

error_code last_error() noexcept {
  if (errno == EAGAIN) {
    return asio::error::would_block;
  }
  return {errno, asio::error::get_system_category()};
}

// Keeps a SIGPIPE that a write raises from being delivered, and swallows it: pipes have no
// MSG_NOSIGNAL. A SIGPIPE that was pending before stays pending.
class sigpipe_guard {
public:
  sigpipe_guard() noexcept {
    sigemptyset(&only_);
    sigaddset(&only_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &only_, &old_mask_);
    was_blocked_ = sigismember(&old_mask_, SIGPIPE) == 1;
    if (was_blocked_) {
      sigset_t pending;
      sigpending(&pending);
      was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    }
  }

  void swallow() noexcept {
    if (!was_pending_) {
      sys::take_pending(only_);
    }
  }

  ~sigpipe_guard() {
    if (!was_blocked_) {
      pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
    }
  }

private:
  sigset_t only_;
  sigset_t old_mask_;
  bool was_blocked_ = false;
  bool was_pending_ = false;
};

} // namespace

const int stop_signal = SIGTERM;
const int kill_signal = SIGKILL;
const int interrupt_signal = SIGINT;
const int broken_pipe_signal = SIGPIPE;

bool is_signal(int number) noexcept { return number > 0 && number <= sys::highest_signal(); }

int signal_to_go_on(int number) noexcept {
  switch (number) {
  case 0:
  case SIGKILL:
  case SIGCONT:
  case SIGSTOP:
  case SIGTSTP:
  case SIGTTIN:
  case SIGTTOU:
    return 0;
  default:
    return SIGCONT;
  }
}

std::size_t read_some(native_handle_type handle, void* data, std::size_t size,
                      error_code& ec) noexcept {
  ssize_t n = 0;
  do {
    n = ::read(handle, data, std::min<std::size_t>(size, SSIZE_MAX));
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    ec = last_error();
    return 0;
  }
  ec = n == 0 && size != 0 ? error_code(asio::error::eof) : error_code();
  return static_cast<std::size_t>(n);
}

std::size_t write_some(native_handle_type handle, const void* data, std::size_t size,
                       error_code& ec) noexcept {
  sigpipe_guard guard;
  ssize_t n = 0;
  do {
    n = ::write(handle, data, std::min<std::size_t>(size, SSIZE_MAX));
  } while (n < 0 && errno == EINTR);
  if (n >= 0) {
    ec = {};
    return static_cast<std::size_t>(n);
  }
  ec = last_error();
  if (ec == asio::error::broken_pipe) {
    guard.swallow();
  }
  return 0;
}

void write_to_stderr(std::string_view text) noexcept {
  error_code lost;
  write_some(STDERR_FILENO, text.data(), text.size(), lost);
}

bool wait_ready(std::span<wait_entry> entries, steady_clock::time_point until) {
  std::array<pollfd, 8> few;
  std::vector<pollfd> many;
  std::span<pollfd> polled(few.data(), std::min(entries.size(), few.size()));
  if (entries.size() > few.size()) {
    many.resize(entries.size());
    polled = many;
  }
  for (std::size_t i = 0; i < entries.size(); ++i) {
    polled[i] = {entries[i].handle, static_cast<short>(entries[i].for_write ? POLLOUT : POLLIN), 0};
    entries[i].ready = false;
  }
  for (;;) {
    int timeout = -1;
    if (until != steady_clock::time_point::max()) {
      // Far in the past the difference would overflow.
      const auto now = steady_clock::now();
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(std::max(until, now) - now);
      timeout = static_cast<int>(std::min<long long>(left.count(), INT_MAX));
    }
    const int n = ::poll(polled.data(), static_cast<nfds_t>(polled.size()), timeout);
    if (n < 0 && errno != EINTR) {
      throw system_error(errno, detail::system_category(), "poll");
    }
    if (n > 0) {
      for (std::size_t i = 0; i < entries.size(); ++i) {
        entries[i].ready = polled[i].revents != 0;
      }
      return true;
    }
    if (until != steady_clock::time_point::max() && steady_clock::now() >= until) {
      return false;
    }
  }
}

} // namespace detail
} // namespace subproc
