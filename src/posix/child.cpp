// What runs in the child between clone and exec. It may share the parent's memory (vfork), so it
// makes raw system calls only: no allocation, no lock, no libc function that keeps state, no
// exception, no destructor. glibc's set*id would signal all threads of the parent; the raw calls
// change this task alone. The file is compiled without sanitizers, whose run-time must not be
// entered from here.

#include "child.hpp"

#include <cerrno>
#include <climits>

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::size_t sigset_bytes = 8; // the kernel's, not libc's

struct kernel_sigaction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  unsigned long mask;
};

[[noreturn]] void fail(const child_plan& plan, spawn_step step, int error, int where = 0) noexcept {
  if (plan.report_fd >= 0) {
    const child_report report{error, step, where};
    while (syscall(SYS_write, plan.report_fd, &report, sizeof report) < 0 && errno == EINTR) {
    }
  } else {
    plan.report->step = step;
    plan.report->where = where;
    plan.report->error = error;
  }
  if (plan.failed) {
    plan.failed(plan.failed_argument, error);
  }
  for (;;) {
    syscall(SYS_exit_group, 127);
  }
}

bool is_target(const child_plan& plan, int descriptor) noexcept {
  for (std::size_t i = 0; i < plan.move_count; ++i) {
    if (plan.moves[i].target == descriptor) {
      return true;
    }
  }
  return false;
}

int first_free_above_targets(const child_plan& plan) noexcept {
  int highest = 2;
  for (std::size_t i = 0; i < plan.move_count; ++i) {
    if (plan.moves[i].target > highest) {
      highest = plan.moves[i].target;
    }
  }
  return highest + 1;
}

int duplicate_above(int descriptor, int lowest) noexcept {
  return static_cast<int>(syscall(SYS_fcntl, descriptor, F_DUPFD_CLOEXEC, lowest));
}

// To a number that is no target: above them all, else, below the limit of open files, in a gap.
int duplicate_away(const child_plan& plan, int descriptor) noexcept {
  const int above = duplicate_above(descriptor, first_free_above_targets(plan));
  if (above >= 0 || errno != EINVAL) {
    return above;
  }
  for (int lowest = 3;;) {
    const int copy = duplicate_above(descriptor, lowest);
    if (copy < 0 || !is_target(plan, copy)) {
      return copy;
    }
    syscall(SYS_close, copy);
    lowest = copy + 1;
  }
}

// Opens the null device once, for all targets that want it, above every target.
int open_null(child_plan& plan) noexcept {
  const int opened =
      static_cast<int>(syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC));
  if (opened < 0) {
    fail(plan, spawn_step::open, errno);
  }
  if (opened > 2 && !is_target(plan, opened)) {
    return opened;
  }
  const int moved = duplicate_away(plan, opened);
  if (moved < 0) {
    fail(plan, spawn_step::open, errno);
  }
  syscall(SYS_close, opened);
  return moved;
}

// A source that is also the target of another move is put out of the way first, so that swaps and
// chains of any length come out right. dup2 onto itself would leave close-on-exec set.
void move_descriptors(child_plan& plan) noexcept {
  int null_fd = -1;
  if (plan.report_fd >= 0 && (plan.report_fd < 3 || is_target(plan, plan.report_fd))) {
    const int moved = duplicate_away(plan, plan.report_fd);
    if (moved < 0) {
      fail(plan, spawn_step::dup2, errno);
    }
    plan.report_fd = moved;
  }
  for (std::size_t i = 0; i < plan.move_count; ++i) {
    fd_move& move = plan.moves[i];
    move.staged = move.source;
    if (move.source >= 0 && move.source != move.target && is_target(plan, move.source)) {
      move.staged = duplicate_away(plan, move.source);
      if (move.staged < 0) {
        fail(plan, spawn_step::dup2, errno);
      }
    }
  }
  for (std::size_t i = 0; i < plan.move_count; ++i) {
    fd_move& move = plan.moves[i];
    if (move.source == child_plan::null_device) {
      if (null_fd < 0) {
        null_fd = open_null(plan);
      }
      move.staged = null_fd;
    }
    long result = 0;
    if (move.staged == move.target) {
      result = syscall(SYS_fcntl, move.target, F_SETFD, 0);
    } else {
      result = syscall(SYS_dup3, move.staged, move.target, 0);
    }
    if (result < 0) {
      fail(plan, spawn_step::dup2, errno);
    }
  }
}

void set_default(int number) noexcept {
  const kernel_sigaction action{};
  syscall(SYS_rt_sigaction, number, &action, nullptr, sigset_bytes);
}

// Without CLONE_CLEAR_SIGHAND the caller's handlers are still installed and must go before the
// mask is opened, or one of them would run here.
void clear_handlers() noexcept {
  for (int number = 1; number <= 64; ++number) {
    kernel_sigaction action{};
    if (syscall(SYS_rt_sigaction, number, nullptr, &action, sigset_bytes) == 0 &&
        action.handler != SIG_DFL && action.handler != SIG_IGN) {
      set_default(number);
    }
  }
}

void set_signals(const child_plan& plan) noexcept {
  if (!plan.handlers_cleared) {
    clear_handlers();
  }
  if (plan.signals == signal_setup::standard) {
    set_default(SIGPIPE);
    set_default(SIGXFSZ);
    set_default(SIGCHLD);
  } else if (plan.signals == signal_setup::reset_all) {
    for (int number = 1; number <= 64; ++number) {
      if (number != SIGKILL && number != SIGSTOP) {
        set_default(number);
      }
    }
  }
}

void open_mask(const child_plan& plan) noexcept {
  const unsigned long mask = plan.signals == signal_setup::keep ? plan.parent_mask : 0;
  if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, nullptr, sigset_bytes) < 0) {
    fail(plan, spawn_step::signals, errno);
  }
}

void set_session(const child_plan& plan) noexcept {
  if (plan.new_session && syscall(SYS_setsid) < 0) {
    fail(plan, spawn_step::setsid, errno);
  }
  if (plan.set_process_group && syscall(SYS_setpgid, 0, plan.process_group) < 0) {
    fail(plan, spawn_step::setpgid, errno);
  }
}

void set_oom_score(const child_plan& plan, const limit_steps& limits) noexcept {
  const long file = syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0 || syscall(SYS_write, file, limits.oom_score_adj, limits.oom_score_adj_size) < 0) {
    fail(plan, spawn_step::limits, errno, at_oom_score_adj);
  }
  syscall(SYS_close, file);
}

// The limits come last, that of open files is then in nobody's way. setpriority and
// sched_setaffinity are about this task alone, and the others about its own process, also while it
// shares the caller's memory.
void set_limits(const child_plan& plan, const limit_steps& limits) noexcept {
  if (limits.oom_score_adj) {
    set_oom_score(plan, limits);
  }
  if (limits.set_nice && syscall(SYS_setpriority, PRIO_PROCESS, 0, limits.nice) < 0) {
    fail(plan, spawn_step::limits, errno, at_nice);
  }
  if (limits.cpus && syscall(SYS_sched_setaffinity, 0, limits.cpu_bytes, limits.cpus) < 0) {
    fail(plan, spawn_step::limits, errno, at_cpus);
  }
  for (std::size_t i = 0; i < limits.rlimit_count; ++i) {
    const rlimit_step& step = limits.rlimits[i];
    kernel_rlimit value = step.value;
    if (step.keep_hard) {
      kernel_rlimit now{};
      if (syscall(SYS_prlimit64, 0, step.resource, nullptr, &now) < 0) {
        fail(plan, spawn_step::limits, errno, static_cast<int>(i));
      }
      value.hard = now.hard;
    }
    if (syscall(SYS_prlimit64, 0, step.resource, &value, nullptr) < 0) {
      fail(plan, spawn_step::limits, errno, static_cast<int>(i));
    }
  }
}

// Groups first and the user last, who may not change the others any more. Each is looked at
// again: a program must not start with rights that were to be gone, whatever a filter has answered.
void set_credentials(const child_plan& plan) noexcept {
  if (plan.set_groups && syscall(SYS_setgroups, plan.group_count, plan.groups) < 0) {
    fail(plan, spawn_step::setgroups, errno);
  }
  if (plan.set_gid && syscall(SYS_setresgid, plan.gid, plan.gid, plan.gid) < 0) {
    fail(plan, spawn_step::setgid, errno);
  }
  if (plan.set_uid && syscall(SYS_setresuid, plan.uid, plan.uid, plan.uid) < 0) {
    fail(plan, spawn_step::setuid, errno);
  }
  if (plan.set_groups &&
      syscall(SYS_getgroups, 0, nullptr) != static_cast<long>(plan.group_count)) {
    fail(plan, spawn_step::setgroups, EPERM, ids_differ);
  }
  unsigned ids[3] = {};
  const auto all_are = [&ids](unsigned id) { return ids[0] == id && ids[1] == id && ids[2] == id; };
  if (plan.set_gid &&
      (syscall(SYS_getresgid, &ids[0], &ids[1], &ids[2]) < 0 || !all_are(plan.gid))) {
    fail(plan, spawn_step::setgid, EPERM, ids_differ);
  }
  if (plan.set_uid &&
      (syscall(SYS_getresuid, &ids[0], &ids[1], &ids[2]) < 0 || !all_are(plan.uid))) {
    fail(plan, spawn_step::setuid, EPERM, ids_differ);
  }
}

// Late, because a change of credentials takes it back. The signal comes when the child gets another
// parent, and a parent that has gone before sends none: then the parent is another by now. One that
// is outside of the child's pid namespace is 0, dead or alive.
void bind_to_parent(const child_plan& plan) noexcept {
  if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
    fail(plan, spawn_step::die_with_parent, errno);
  }
  const long parent = syscall(SYS_getppid);
  if (parent != plan.parent && parent != 0) {
    fail(plan, spawn_step::die_with_parent, ESRCH);
  }
}

struct kernel_dirent {
  unsigned long inode;
  long offset;
  unsigned short length;
  unsigned char type;
  char name[1];
};

bool is_kept(const child_plan& plan, int descriptor) noexcept {
  if (descriptor == plan.report_fd) {
    return true;
  }
  for (std::size_t i = 0; i < plan.kept_count; ++i) {
    if (plan.kept[i] == descriptor) {
      return true;
    }
  }
  return false;
}

void close_every_number(const child_plan& plan) noexcept {
  for (int descriptor = 3; descriptor < 65536; ++descriptor) {
    if (!is_kept(plan, descriptor)) {
      syscall(SYS_close, descriptor);
    }
  }
}

// For kernels without close_range: what is open, from /proc, else every possible number.
void close_one_by_one(const child_plan& plan) noexcept {
  const int dir = static_cast<int>(
      syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir < 0) {
    close_every_number(plan);
    return;
  }
  alignas(kernel_dirent) char buffer[1024];
  for (bool again = true; again;) {
    again = false;
    syscall(SYS_lseek, dir, 0, SEEK_SET);
    for (;;) {
      const long size = syscall(SYS_getdents64, dir, buffer, sizeof buffer);
      if (size < 0) {
        close_every_number(plan);
        return;
      }
      if (size == 0) {
        break;
      }
      for (long at = 0; at < size;) {
        const auto* entry = reinterpret_cast<const kernel_dirent*>(buffer + at);
        at += entry->length;
        int descriptor = 0;
        const char* digit = entry->name;
        for (; *digit >= '0' && *digit <= '9'; ++digit) {
          descriptor = descriptor * 10 + (*digit - '0');
        }
        if (digit == entry->name || descriptor < 3 || descriptor == dir ||
            is_kept(plan, descriptor)) {
          continue;
        }
        syscall(SYS_close, descriptor);
        again = true; // closing while listing may skip entries
      }
    }
  }
  syscall(SYS_close, dir);
}

// Closes the gaps between the kept descriptors, from 3 up.
void close_others(const child_plan& plan) noexcept {
  unsigned from = 3;
  std::size_t next = 0;
  bool report_open = plan.report_fd >= 3;
  for (;;) {
    unsigned keep = UINT_MAX;
    bool is_report = false;
    if (next < plan.kept_count) {
      keep = static_cast<unsigned>(plan.kept[next]);
    }
    if (report_open && static_cast<unsigned>(plan.report_fd) < keep) {
      keep = static_cast<unsigned>(plan.report_fd);
      is_report = true;
    }
    if (keep > from || keep == UINT_MAX) {
      const unsigned last = keep == UINT_MAX ? keep : keep - 1;
      if (syscall(SYS_close_range, from, last, 0) < 0) {
        close_one_by_one(plan);
        return;
      }
    }
    if (keep == UINT_MAX) {
      return;
    }
    from = keep + 1;
    if (is_report) {
      report_open = false;
    } else {
      ++next;
    }
  }
}

[[noreturn]] void exec(const child_plan& plan) noexcept {
  int remembered = 0;
  int last = ENOENT;
  for (const char* const* program = plan.executables; *program; ++program) {
    syscall(SYS_execve, *program, plan.argv, plan.envp);
    last = errno;
    if (last == ENOEXEC && plan.shell_argv) {
      plan.shell_argv[1] = *program;
      syscall(SYS_execve, plan.shell_argv[0], plan.shell_argv, plan.envp);
    }
    if (last != ENOENT && last != ENOTDIR && remembered == 0) {
      remembered = last;
    }
  }
  fail(plan, spawn_step::exec, remembered != 0 ? remembered : last);
}

} // namespace

void run_child(child_plan& plan) noexcept {
  // The table is still the parent's: nothing may touch it before this call.
  if (plan.unshare_from != 0 &&
      syscall(SYS_close_range, plan.unshare_from, UINT_MAX, CLOSE_RANGE_UNSHARE) < 0) {
    fail(plan, spawn_step::close_fds, errno);
  }
  move_descriptors(plan);
  if (plan.directory && syscall(SYS_chdir, plan.directory) < 0) {
    fail(plan, spawn_step::chdir, errno);
  }
  // It cannot fail, but a filter can refuse it: then the child's files would be open to others.
  if (plan.umask >= 0 && syscall(SYS_umask, plan.umask) < 0) {
    fail(plan, spawn_step::umask, errno);
  }
  set_signals(plan);
  set_session(plan);
  // A table cut at 3 holds nothing that is not closed on exec already. Before the limits, since one
  // of open files would hide what is above it; a hook still has the caller's descriptors.
  const bool close_fds = plan.close_fds && plan.unshare_from != 3;
  if (close_fds && !plan.pre_exec) {
    close_others(plan);
  }
  if (plan.limits) {
    set_limits(plan, *plan.limits);
  }
  set_credentials(plan);
  if (plan.pre_exec) {
    open_mask(plan);
    const bool inherits = plan.envp == environ;
    if (const int error = plan.pre_exec(plan.pre_exec_argument); error != 0) {
      fail(plan, spawn_step::pre_exec, error);
    }
    if (inherits) {
      plan.envp = environ; // the hook may have changed it
    }
    if (close_fds) {
      close_others(plan);
    }
  }
  if (plan.parent != 0) {
    bind_to_parent(plan);
  }
  open_mask(plan);
  exec(plan);
}

} // namespace subproc::detail
