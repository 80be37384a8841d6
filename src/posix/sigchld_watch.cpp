// Without pidfds a child's end is announced by SIGCHLD alone, to the whole process, coalesced. One
// thread with a loop of its own learns of it; each child has a pipe, into which the thread writes
// when the child has ended (seen by a look that takes nothing). The read end is the child's exit
// handle. To close the write end would not do: a copy of the program that has not yet reached its
// exec has it too. Whom to look at is decided by exit_list.

#include "sigchld_watch.hpp"

#include "../per_process.hpp"
#include "../platform.hpp"

#include "exit_list.hpp"
#include "reap.hpp"
#include "scope.hpp"
#include "system.hpp"

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>

#include <array>
#include <atomic>
#include <cerrno>
#include <list>
#include <mutex>
#include <string>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

// The program's own disposition, and how its signals are heard here.
std::atomic<const struct sigaction*> earlier{nullptr};
std::atomic<int> bell{-1};
static_assert(std::atomic<const struct sigaction*>::is_always_lock_free);

// The bell says whose signal it was: of those that came at once the first one's.
void on_sigchld(int number, siginfo_t* info, void* context) {
  const int error = errno;
  const pid_t pid = info != nullptr ? info->si_pid : 0;
  [[maybe_unused]] const ssize_t n = ::write(bell, &pid, sizeof pid); // full is as good
  errno = error;
  const struct sigaction& own = *earlier.load();
  if (own.sa_handler == SIG_DFL || own.sa_handler == SIG_IGN) {
    return;
  }
  if ((own.sa_flags & SA_SIGINFO) != 0) {
    own.sa_sigaction(number, info, context);
  } else {
    own.sa_handler(number);
  }
}

bool is_ours(const struct sigaction& action) noexcept {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == on_sigchld;
}

bool is_default(const struct sigaction& action) noexcept {
  return action.sa_handler == SIG_DFL && (action.sa_flags & SA_NOCLDWAIT) == 0;
}

exit_list::found look(pid_t pid) {
  switch (look_at_child(pid, false).what) {
  case child_news::state::running:
    return exit_list::found::running;
  case child_news::state::ended:
    return exit_list::found::ended;
  case child_news::state::gone:
    break;
  }
  return exit_list::found::gone;
}

// Whoever's it is, it stays.
bool any_ended() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

void announce(exit_list::entry& child) {
  const char byte = 0;
  [[maybe_unused]] const ssize_t n = ::write(child.bell.get(), &byte, 1); // there is room for one
  child.bell.reset();
}

class sigchld_watch {
public:
  sigchld_watch() : list_(look, any_ended, announce), heard_(context_), timer_(context_) {}

  /// Returns what becomes readable at the child's end.
  unique_handle add(pid_t pid, std::shared_ptr<exit_list::entry>& entry) {
    int ends[2];
    if (sys::open_pipe(ends) < 0) {
      throw spawn_error(error_code(errno, detail::system_category()), spawn_step::pipe, {});
    }
    unique_handle read_end(ends[0]);
    entry = std::make_shared<exit_list::entry>(pid, unique_handle(ends[1]));
    const std::lock_guard lock(mutex_);
    start();
    listen();
    list_.add(entry, steady_clock::now());
    if (list_.wake_at().value_or(steady_clock::time_point::max()) < timer_due_) {
      asio::post(context_, [this] { set_timer(); });
    }
    return read_end;
  }

  void remove(exit_list::entry& entry) noexcept {
    const std::lock_guard lock(mutex_);
    list_.remove(entry);
  }

private:
  // With the mutex held.
  void start() {
    if (!started_) {
      start_background_thread([this, work = asio::make_work_guard(context_)] { context_.run(); });
      started_ = true;
    }
  }

  // With the mutex held, at each start of a child. A program that ignores SIGCHLD, so that its
  // children vanish by themselves, goes on doing so, and a handler that it has installed after us
  // is its will. What is gone without another in its place comes back: a signal_set leaves the
  // default behind it.
  void listen() {
    struct sigaction now {};
    ::sigaction(SIGCHLD, nullptr, &now);
    if (installed_ && (is_ours(now) || !is_default(now))) {
      list_.hears(is_ours(now));
      return;
    }
    if (now.sa_handler == SIG_IGN || (now.sa_flags & SA_NOCLDWAIT) != 0 || !open_bell()) {
      list_.hears(false);
      return;
    }
    // After a fork it may be ours already, and must not call itself.
    if (!is_ours(now)) {
      earlier = &dispositions_.emplace_front(now);
    }
    struct sigaction ours = *earlier.load();
    const bool was_default = is_default(ours);
    ours.sa_sigaction = on_sigchld;
    if (was_default) {
      ours.sa_flags = SA_RESTART | SA_NOCLDSTOP;
    }
    ours.sa_flags |= SA_SIGINFO;
    ours.sa_flags &= ~static_cast<int>(SA_RESETHAND);
    list_.hears(::sigaction(SIGCHLD, &ours, nullptr) == 0);
    installed_ = true;
  }

  bool open_bell() {
    int ends[2];
    if (!installed_) {
      if (sys::open_pipe(ends, O_NONBLOCK) < 0) {
        return false;
      }
      heard_.assign(ends[0]);
      bell = ends[1];
      wait();
    }
    return true;
  }

  void wait() {
    heard_.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code) {
      std::array<pid_t, 256> named;
      ssize_t size = 0;
      while ((size = ::read(heard_.native_handle(), named.data(), sizeof named)) > 0) {
        const std::lock_guard lock(mutex_);
        list_.heard({named.data(), static_cast<std::size_t>(size) / sizeof(pid_t)},
                    steady_clock::now());
      }
      set_timer();
      wait();
    });
  }

  // On the thread.
  void set_timer() {
    steady_clock::time_point due;
    {
      const std::lock_guard lock(mutex_);
      due = list_.wake_at().value_or(steady_clock::time_point::max());
      timer_due_ = due;
    }
    if (due == steady_clock::time_point::max()) {
      timer_.cancel(); // the next child sets it
      return;
    }
    timer_.expires_at(due);
    timer_.async_wait([this](error_code ec) {
      if (ec) {
        return;
      }
      {
        const std::lock_guard lock(mutex_);
        list_.wake(steady_clock::now());
        list_.swept(steady_clock::now());
      }
      set_timer();
    });
  }

  std::mutex mutex_;
  exit_list list_;
  bool started_ = false;
  bool installed_ = false;
  steady_clock::time_point timer_due_ = steady_clock::time_point::max();
  std::list<struct sigaction> dispositions_; ///< a handler may still run with one of old
  asio::io_context context_;
  asio::posix::stream_descriptor heard_;
  asio::steady_timer timer_;
};

class watched_child final : public child {
public:
  watched_child(pid_t pid, scope own)
      : pid_(pid), hold_leader_(own != scope::process),
        ended_(of_this_process<sigchld_watch>().add(pid, entry_)) {}

  ~watched_child() override {
    of_this_process<sigchld_watch>().remove(*entry_);
    if (report_ && hold_leader_ && !released_ && !entry_->gone) {
      look_at_child(pid_, true);
    }
  }

  pid_type pid() const noexcept override { return pid_; }
  native_handle_type exit_handle() const noexcept override { return ended_.get(); }
  bool exit_handle_is_process() const noexcept override { return false; }

  std::optional<exit_report> try_wait() noexcept override {
    if (report_) {
      return report_;
    }
    const child_news news = entry_->gone ? child_news() : look_at_child(pid_, !hold_leader_);
    if (news.what == child_news::state::gone) {
      report_.emplace();    // taken by somebody else, or SIGCHLD is ignored
      hold_leader_ = false; // the number may be another's from now on
    } else if (news.what == child_news::state::ended) {
      report_ = news.report;
    }
    return report_;
  }

  error_code signal(int number, scope target) noexcept override {
    if (const error_code own = check_not_own(target, pid_)) {
      return own;
    }
    if ((report_ && target == scope::process) || !number_is_ours()) {
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
    unlisted_.signalled(number, target);
    return {};
  }

  bool scope_empty(scope target) noexcept override {
    if (!try_wait()) {
      return false;
    }
    if (target == scope::process) {
      return true;
    }
    if (const auto empty =
            unlisted_.empty(pid_, hold_leader_, [this] { look_at_child(pid_, true); })) {
      return *empty;
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
  // While it is unreaped. A look costs little and keeps most of those apart who reap what is not
  // theirs.
  bool number_is_ours() noexcept {
    if ((report_ && !hold_leader_) || entry_->gone) {
      return false;
    }
    return look_at_child(pid_, false).what != child_news::state::gone;
  }

  std::optional<std::vector<int>> look_up(scope target) const {
    return report_ && !hold_leader_ ? std::vector<int>() : detail::scope_members(target, pid_);
  }

  pid_t pid_;
  std::optional<exit_report> report_;
  bool hold_leader_;
  bool released_ = false;
  unlisted_group unlisted_;
  std::shared_ptr<exit_list::entry> entry_;
  unique_handle ended_;
};

} // namespace

std::unique_ptr<child> make_watched_child(pid_t pid, scope own) {
  try {
    return std::make_unique<watched_child>(pid, own);
  } catch (const spawn_error&) {
    throw;
  } catch (const system_error& error) { // no thread or no loop for the watch
    throw spawn_error(error.code(), spawn_step::fork, {},
                      std::string("the watch of children cannot be set up, ") + error.what());
  }
}

} // namespace subproc::detail
