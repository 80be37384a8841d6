#include "pidfd_child.hpp"

#include "../platform.hpp"

#include "../posix/reap.hpp"
#include "../posix/reaped_child.hpp"
#include "../posix/scope.hpp"
#include "../posix/sigchld_watch.hpp"
#include "../posix/system.hpp"

#include <atomic>
#include <cerrno>
#include <cstdint>

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr unsigned signal_process_group = 1U << 2; // PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9
constexpr int wait_by_pidfd = 3;                   // P_PIDFD, Linux 5.4

int send_by_pidfd(int pidfd, int number, unsigned flags) noexcept {
  return static_cast<int>(syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, flags));
}

bool can_signal_groups() noexcept {
  enum answer { unknown, no, yes };
  static std::atomic<answer> known{unknown};
  if (known.load(std::memory_order_relaxed) == unknown) {
    const unique_handle self(static_cast<int>(syscall(SYS_pidfd_open, ::getpid(), 0)));
    if (!self && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
      return false; // for now: of the kernel that says nothing
    }
    // ESRCH: this program leads no group, but the kernel knows what was asked.
    const bool can =
        self && (send_by_pidfd(self.get(), 0, signal_process_group) == 0 || errno == ESRCH);
    known.store(can ? yes : no, std::memory_order_relaxed);
  }
  return known.load(std::memory_order_relaxed) == yes;
}

// Younger than pidfd_open: without it our own pidfd is EINVAL, with it no child of ours.
bool can_wait_by_pidfd(int pidfd) noexcept {
  static const bool can = [pidfd] {
    siginfo_t info{};
    const int look = WEXITED | WNOHANG | WNOWAIT;
    return syscall(SYS_waitid, wait_by_pidfd, pidfd, &info, look, nullptr) == 0 || errno == ECHILD;
  }();
  return can;
}

// struct pidfd_info of <linux/pidfd.h>, first version (Linux 6.13; the exit code since 6.15).
struct pidfd_info {
  std::uint64_t mask;
  std::uint64_t cgroup_id;
  std::uint32_t pid, tgid, ppid;
  std::uint32_t ids[8];
  std::int32_t exit_code;
};
static_assert(sizeof(pidfd_info) == 64);

// What is left of a status that somebody else has taken.
exit_status status_after_theft(int pidfd) noexcept {
  constexpr std::uint64_t with_exit = 1U << 3; // PIDFD_INFO_EXIT
  pidfd_info info{};
  info.mask = with_exit;
  if (::ioctl(pidfd, _IOWR(0xFF, 11, pidfd_info), &info) != 0 || (info.mask & with_exit) == 0) {
    return {};
  }
  return status_from_wait(info.exit_code);
}

child_news look_by_pidfd(int pidfd, bool reap) noexcept {
  return look_at(static_cast<idtype_t>(wait_by_pidfd), static_cast<id_t>(pidfd), reap);
}

class pidfd_child final : public child {
public:
  pidfd_child(pid_t pid, unique_handle pidfd, scope own)
      : pid_(pid), pidfd_(std::move(pidfd)),
        hold_leader_(own == scope::session || (own == scope::group && !can_signal_groups())) {}

  ~pidfd_child() override {
    if (report_ && hold_leader_) {
      look_by_pidfd(pidfd_.get(), true);
    }
  }

  pid_type pid() const noexcept override { return pid_; }
  native_handle_type exit_handle() const noexcept override { return pidfd_.get(); }
  bool exit_handle_is_process() const noexcept override { return true; }

  std::optional<exit_report> try_wait() noexcept override {
    if (report_) {
      return report_;
    }
    const child_news news = look_by_pidfd(pidfd_.get(), !hold_leader_);
    if (news.what == child_news::state::gone) {
      // Taken by somebody else, or SIGCHLD is ignored: then it is gone once the pidfd says so.
      wait_entry entry{pidfd_.get()};
      if (wait_ready({&entry, 1}, steady_clock::time_point::min())) {
        report_ = exit_report{status_after_theft(pidfd_.get()), {}};
        hold_leader_ = false; // the number may be another's from now on
      }
    } else if (news.what == child_news::state::ended) {
      report_ = news.report;
    }
    return report_;
  }

  error_code signal(int number, scope target) noexcept override {
    if (const error_code own = check_not_own(target, pid_)) {
      return own;
    }
    int result = 0;
    if (target == scope::process) {
      if (report_) {
        return {};
      }
      result = send_to_child(number);
    } else if (can_signal_groups()) {
      result = send_by_pidfd(pidfd_.get(), number, signal_process_group);
    } else if (number_is_ours()) {
      result = ::kill(-pid_, number); // the unreaped leader keeps the number ours
    }
    const int error = errno;
    if (target == scope::session && number_is_ours()) {
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
    if (target == scope::group && can_signal_groups() &&
        send_by_pidfd(pidfd_.get(), 0, signal_process_group) < 0 && errno == ESRCH) {
      return true;
    }
    if (const auto empty =
            unlisted_.empty(pid_, hold_leader_, [this] { look_by_pidfd(pidfd_.get(), true); })) {
      return *empty;
    }
    // Zombies do not count; who cannot be looked up now does.
    const auto members = look_up(target);
    return members && members->empty();
  }

  std::vector<int> scope_members(scope target) override {
    return look_up(target).value_or(std::vector<int>());
  }

  unique_handle release() noexcept override { return std::move(pidfd_); }

private:
  bool number_is_ours() const noexcept { return !report_ || hold_leader_; }

  std::optional<std::vector<int>> look_up(scope target) const {
    // The members of a group that a pidfd still finds keep its number.
    const bool by_pidfd = target == scope::group && can_signal_groups() &&
                          send_by_pidfd(pidfd_.get(), 0, signal_process_group) == 0;
    return number_is_ours() || by_pidfd ? detail::scope_members(target, pid_) : std::vector<int>();
  }

  // A filter may know pidfds but not their signals. The number is ours while the child is unreaped.
  int send_to_child(int number) noexcept {
    const int result = send_by_pidfd(pidfd_.get(), number, 0);
    if (result == 0 || (errno != ENOSYS && errno != EPERM)) {
      return result;
    }
    return look_by_pidfd(pidfd_.get(), false).what != child_news::state::gone ? ::kill(pid_, number)
                                                                              : result;
  }

  pid_t pid_;
  unique_handle pidfd_;
  std::optional<exit_report> report_;
  // A session, and before Linux 6.9 a group, is known by its number only, which is ours while its
  // leader is unreaped.
  bool hold_leader_;
  unlisted_group unlisted_;
};

} // namespace

std::unique_ptr<child> make_pidfd_child(pid_t pid, unique_handle pidfd, scope own) {
  try {
    return std::make_unique<pidfd_child>(pid, std::move(pidfd), own);
  } catch (...) {
    discard_child(pid);
    throw;
  }
}

std::unique_ptr<child> adopt_child(pid_t pid, scope own) {
  unique_handle pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  const int error = errno;
  if (!pidfd && error == ESRCH) {
    // SIGCHLD is ignored, or somebody else waits for all: its status is unknown.
    return make_reaped_child(pid, {});
  }
  if (pidfd && can_wait_by_pidfd(pidfd.get())) {
    return make_pidfd_child(pid, std::move(pidfd), own);
  }
  try {
    // Want of a descriptor or of memory is no sign that there are no pidfds.
    if (!pidfd && error != ENOSYS && error != EPERM && error != EINVAL) {
      throw spawn_error(error_code(error, detail::system_category()), spawn_step::fork, {});
    }
    return make_watched_child(pid, own);
  } catch (...) {
    discard_child(pid);
    throw;
  }
}

} // namespace subproc::detail
