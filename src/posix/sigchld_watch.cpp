// Without pidfds a child's end is announced by SIGCHLD alone, to the whole process, coalesced. One
// thread with a loop of its own owns a signal_set; each child has a pipe that nobody writes to, and
// the thread closes the write end of those that have ended (seen by waitid with WNOWAIT, which
// takes nothing). The read end is the child's exit handle. A slow sweep covers a SIGCHLD that a
// handler installed later by the program has swallowed.

#include "sigchld_watch.hpp"

#include "../per_process.hpp"
#include "../platform.hpp"

#include "scope.hpp"
#include "usage.hpp"

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>

#include <cerrno>
#include <map>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

// The program's own disposition, and how its signals are heard here.
struct sigaction earlier;
int bell = -1;

void on_sigchld(int number, siginfo_t* info, void* context) {
  const int error = errno;
  const char byte = 0;
  [[maybe_unused]] const ssize_t n = ::write(bell, &byte, 1); // full is as good
  errno = error;
  if ((earlier.sa_flags & SA_SIGINFO) != 0) {
    earlier.sa_sigaction(number, info, context);
  } else if (earlier.sa_handler != SIG_DFL && earlier.sa_handler != SIG_IGN) {
    earlier.sa_handler(number);
  }
}

class sigchld_watch {
public:
  sigchld_watch() : heard_(context_), timer_(context_) {}

  unique_handle add(pid_t pid) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) {
      throw spawn_error(error_code(errno, detail::system_category()), spawn_step::pipe, {});
    }
    unique_handle read_end(ends[0]);
    unique_handle write_end(ends[1]);
    {
      const std::lock_guard lock(mutex_);
      start();
      children_.insert_or_assign(pid, std::move(write_end));
    }
    asio::post(context_, [this] { sweep(); }); // it may have ended before it was added
    return read_end;
  }

  void remove(pid_t pid) noexcept {
    const std::lock_guard lock(mutex_);
    children_.erase(pid);
  }

private:
  // With the mutex held.
  void start() {
    if (!started_) {
      start_background_thread([this, work = asio::make_work_guard(context_)] { context_.run(); });
      started_ = true;
      listen();
      sweep_later();
    }
  }

  // A program that ignores SIGCHLD, so that its children vanish by themselves, goes on doing so.
  void listen() {
    struct sigaction now {};
    ::sigaction(SIGCHLD, nullptr, &now);
    // After a fork it may be ours already, and must not call itself.
    if ((now.sa_flags & SA_SIGINFO) == 0 || now.sa_sigaction != on_sigchld) {
      earlier = now;
    }
    const bool has_handler = (earlier.sa_flags & SA_SIGINFO) != 0 || earlier.sa_handler != SIG_DFL;
    const bool ignored = (earlier.sa_flags & SA_SIGINFO) == 0 && earlier.sa_handler == SIG_IGN;
    int ends[2];
    if (ignored || (earlier.sa_flags & SA_NOCLDWAIT) != 0 ||
        ::pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
      return; // the sweep sees the ends
    }
    heard_.assign(ends[0]);
    bell = ends[1];
    wait();
    struct sigaction ours = earlier;
    ours.sa_sigaction = on_sigchld;
    if (!has_handler) {
      ours.sa_flags = SA_RESTART | SA_NOCLDSTOP;
    }
    ours.sa_flags |= SA_SIGINFO;
    ours.sa_flags &= ~static_cast<int>(SA_RESETHAND);
    ::sigaction(SIGCHLD, &ours, nullptr);
  }

  void wait() {
    heard_.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code) {
      char bytes[256];
      while (::read(heard_.native_handle(), bytes, sizeof bytes) > 0) {
      }
      sweep(); // a child that ends meanwhile rings again
      wait();
    });
  }

  void sweep_later() {
    timer_.expires_after(std::chrono::milliseconds(250));
    timer_.async_wait([this](error_code) {
      sweep();
      sweep_later();
    });
  }

  void sweep() {
    const std::lock_guard lock(mutex_);
    for (auto it = children_.begin(); it != children_.end();) {
      siginfo_t info{};
      const int result =
          ::waitid(P_PID, static_cast<id_t>(it->first), &info, WEXITED | WNOHANG | WNOWAIT);
      const bool ended = result == 0 ? info.si_pid != 0 : errno == ECHILD;
      it = ended ? children_.erase(it) : std::next(it);
    }
  }

  std::mutex mutex_;
  bool started_ = false;
  std::map<pid_t, unique_handle> children_;
  asio::io_context context_;
  asio::posix::stream_descriptor heard_;
  asio::steady_timer timer_;
};

class watched_child final : public child {
public:
  watched_child(pid_t pid, scope own)
      : pid_(pid), hold_leader_(own != scope::process),
        ended_(of_this_process<sigchld_watch>().add(pid)) {}

  ~watched_child() override {
    of_this_process<sigchld_watch>().remove(pid_);
    if (report_ && hold_leader_ && !released_) {
      siginfo_t info{};
      while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG) < 0 &&
             errno == EINTR) {
      }
    }
  }

  pid_type pid() const noexcept override { return pid_; }
  native_handle_type exit_handle() const noexcept override { return ended_.get(); }
  bool exit_handle_is_process() const noexcept override { return false; }

  std::optional<exit_report> try_wait() noexcept override {
    if (report_) {
      return report_;
    }
    siginfo_t info{};
    rusage usage{};
    const int options = WEXITED | WNOHANG | (hold_leader_ ? WNOWAIT : 0);
    long result = 0;
    do {
      result = syscall(SYS_waitid, P_PID, pid_, &info, options, &usage);
    } while (result < 0 && errno == EINTR);
    if (result < 0) {
      report_.emplace();    // taken by somebody else, or SIGCHLD is ignored
      hold_leader_ = false; // the number may be another's from now on
    } else if (info.si_pid != 0) {
      report_ = exit_report{status_from(info.si_code, info.si_status), usage_from(usage)};
    }
    return report_;
  }

  error_code signal(int number, scope target) noexcept override {
    if (const error_code own = check_not_own(target, pid_)) {
      return own;
    }
    // The number is ours only while the child is unreaped.
    if ((report_ && !hold_leader_) || (report_ && target == scope::process)) {
      return {};
    }
    const int result = ::kill(target == scope::process ? pid_ : -pid_, number);
    const int error = errno;
    if (target == scope::session) {
      signal_session_stragglers(pid_, number);
    }
    if (result < 0 && error != ESRCH) {
      return {error, detail::system_category()};
    }
    return {};
  }

  bool scope_empty(scope target) noexcept override {
    if (!try_wait()) {
      return false;
    }
    if (target == scope::process) {
      return true;
    }
    const auto members = look_up(target);
    return members && members->empty();
  }

  std::vector<int> scope_members(scope target) override {
    return look_up(target).value_or(std::vector<int>());
  }

  unique_handle release() noexcept override {
    released_ = true;
    return {};
  }

private:
  std::optional<std::vector<int>> look_up(scope target) const {
    return report_ && !hold_leader_ ? std::vector<int>() : detail::scope_members(target, pid_);
  }

  pid_t pid_;
  std::optional<exit_report> report_;
  bool hold_leader_;
  bool released_ = false;
  unique_handle ended_;
};

} // namespace

std::unique_ptr<child> make_watched_child(pid_t pid, scope own) {
  try {
    return std::make_unique<watched_child>(pid, own);
  } catch (const spawn_error&) {
    throw;
  } catch (const system_error& error) { // no thread or no loop for the watch
    throw spawn_error(error.code(), spawn_step::fork, {});
  }
}

} // namespace subproc::detail
