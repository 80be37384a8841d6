// Raw system calls: libc's wrappers keep what the child must not touch (its set*id signal all
// threads of the caller, its masks leave its own signals out), and sanitizers wrap them. Compiled
// without sanitizers, as child.cpp.

#include "../posix/system.hpp"

#include "../platform.hpp"
#include "../posix/reap.hpp"
#include "../posix/scope.hpp"
#include "../posix/usage.hpp"
#include "clone3_launcher.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {

// The table is still the caller's: nothing may touch it before this call.
void run_cloned_child(child_plan& plan) noexcept {
  if (plan.unshare_from != 0 &&
      syscall(SYS_close_range, plan.unshare_from, UINT_MAX, CLOSE_RANGE_UNSHARE) < 0) {
    fail_child(plan, spawn_step::close_fds, errno);
  }
  run_child(plan);
}

void grow_pipe(native_handle_type handle) noexcept {
  constexpr int unprivileged_limit = 1 << 20; // fs.pipe-max-size, pipe(7)
  ::fcntl(handle, F_SETPIPE_SZ, unprivileged_limit);
}

// The raw call: its fifth argument gives the usage together with the status, and takes nothing.
child_news look_at(idtype_t by, id_t id, bool reap) noexcept {
  siginfo_t info{};
  rusage usage{};
  const int options = WEXITED | WNOHANG | (reap ? 0 : WNOWAIT);
  long result = 0;
  do {
    result = syscall(SYS_waitid, by, id, &info, options, &usage);
  } while (result < 0 && errno == EINTR);
  if (result < 0) {
    return {};
  }
  if (info.si_pid == 0) {
    return {child_news::state::running, {}};
  }
  return {child_news::state::ended, {status_from(info.si_code, info.si_status), usage_from(usage)}};
}

namespace sys {
namespace {

constexpr std::size_t sigset_bytes = 8; // the kernel's, not libc's

struct kernel_sigaction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  unsigned long mask;
};

struct kernel_dirent {
  unsigned long inode;
  long offset;
  unsigned short length;
  unsigned char type;
  char name[1];
};

void close_every_number(const child_plan& plan) noexcept {
  for (int descriptor = 3; descriptor < 65536; ++descriptor) {
    if (!is_kept(plan, descriptor)) {
      close(descriptor);
    }
  }
}

int set_oom_score(const limit_steps& limits) noexcept {
  const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0 || write(file, limits.oom_score_adj, limits.oom_score_adj_size) < 0) {
    return errno;
  }
  close(file);
  return 0;
}

int set_rlimit(const rlimit_step& step) noexcept {
  kernel_rlimit value = step.value;
  if (step.keep_hard) {
    kernel_rlimit now{};
    if (syscall(SYS_prlimit64, 0, step.resource, nullptr, &now) < 0) {
      return errno;
    }
    value.hard = now.hard;
  }
  return syscall(SYS_prlimit64, 0, step.resource, &value, nullptr) < 0 ? errno : 0;
}

bool all_are(const unsigned (&ids)[3], unsigned id) noexcept {
  if (ids[0] == id && ids[1] == id && ids[2] == id) {
    return true;
  }
  errno = EPERM;
  return false;
}

} // namespace

const std::size_t resident_unit = 1024; // KiB, getrusage(2)

void check_options(const command&) {}

int open_pipe(int (&ends)[2], int flags) noexcept { return ::pipe2(ends, O_CLOEXEC | flags); }

int set_pipe_size(int descriptor, int size) noexcept {
  return ::fcntl(descriptor, F_SETPIPE_SZ, size);
}

unique_handle open_again(int descriptor, int flags) noexcept {
  std::array<char, 32> path{"/proc/self/fd/"};
  std::to_chars(path.data() + 14, path.data() + path.size() - 1, descriptor);
  return unique_handle(::open(path.data(), flags | O_CLOEXEC));
}

void take_pending(const sigset_t& signals) noexcept {
  const timespec none{};
  while (sigtimedwait(&signals, nullptr, &none) < 0 && errno == EINTR) {
  }
}

// _Fork runs no atfork handlers: the child makes raw system calls only.
pid_t fork() noexcept { return ::_Fork(); }

int close_limit() noexcept { return 0; }

void exit(int code) noexcept {
  for (;;) {
    syscall(SYS_exit_group, code);
  }
}

ssize_t write(int descriptor, const void* data, std::size_t size) noexcept {
  return syscall(SYS_write, descriptor, data, size);
}

int open(const char* path, int flags) noexcept {
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags));
}

int close(int descriptor) noexcept { return static_cast<int>(syscall(SYS_close, descriptor)); }

int duplicate_above(int descriptor, int lowest) noexcept {
  return static_cast<int>(syscall(SYS_fcntl, descriptor, F_DUPFD_CLOEXEC, lowest));
}

int duplicate_to(int descriptor, int target) noexcept {
  return static_cast<int>(syscall(SYS_dup3, descriptor, target, 0));
}

int keep_on_exec(int descriptor) noexcept {
  return static_cast<int>(syscall(SYS_fcntl, descriptor, F_SETFD, 0));
}

bool close_range(unsigned first, unsigned last) noexcept {
  return syscall(SYS_close_range, first, last, 0) == 0;
}

// For kernels without close_range: what is open, from /proc, else every possible number.
void close_one_by_one(const child_plan& plan) noexcept {
  const int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
        close(descriptor);
        again = true; // closing while listing may skip entries
      }
    }
  }
  close(dir);
}

int change_directory(const char* path) noexcept {
  return static_cast<int>(syscall(SYS_chdir, path));
}

int set_umask(int mask) noexcept { return static_cast<int>(syscall(SYS_umask, mask)); }

int new_session() noexcept { return static_cast<int>(syscall(SYS_setsid)); }

int set_group(int group) noexcept { return static_cast<int>(syscall(SYS_setpgid, 0, group)); }

int highest_signal() noexcept { return 64; }

bool has_handler(int number) noexcept {
  kernel_sigaction action{};
  return syscall(SYS_rt_sigaction, number, nullptr, &action, sigset_bytes) == 0 &&
         action.handler != SIG_DFL && action.handler != SIG_IGN;
}

void set_default(int number) noexcept {
  const kernel_sigaction action{};
  syscall(SYS_rt_sigaction, number, &action, nullptr, sigset_bytes);
}

int set_mask(const sigset_t* wanted, sigset_t* old) noexcept {
  return static_cast<int>(syscall(SYS_rt_sigprocmask, SIG_SETMASK, wanted, old, sigset_bytes));
}

int set_groups(std::size_t count, const gid_t* groups) noexcept {
  return static_cast<int>(syscall(SYS_setgroups, count, groups));
}

int set_gid(gid_t id) noexcept { return static_cast<int>(syscall(SYS_setresgid, id, id, id)); }

int set_uid(uid_t id) noexcept { return static_cast<int>(syscall(SYS_setresuid, id, id, id)); }

int group_count() noexcept { return static_cast<int>(syscall(SYS_getgroups, 0, nullptr)); }

bool has_gid(gid_t id) noexcept {
  unsigned ids[3] = {};
  return syscall(SYS_getresgid, &ids[0], &ids[1], &ids[2]) == 0 && all_are(ids, id);
}

bool has_uid(uid_t id) noexcept {
  unsigned ids[3] = {};
  return syscall(SYS_getresuid, &ids[0], &ids[1], &ids[2]) == 0 && all_are(ids, id);
}

// The limits come last, that of open files is then in nobody's way. setpriority and
// sched_setaffinity are about this task alone, and the others about its own process, also while it
// shares the caller's memory.
int set_limits(const limit_steps& limits, int& where) noexcept {
  where = at_oom_score_adj;
  if (limits.oom_score_adj) {
    if (const int error = set_oom_score(limits); error != 0) {
      return error;
    }
  }
  where = at_nice;
  if (limits.set_nice && syscall(SYS_setpriority, PRIO_PROCESS, 0, limits.nice) < 0) {
    return errno;
  }
  where = at_cpus;
  if (limits.cpus && syscall(SYS_sched_setaffinity, 0, limits.cpu_bytes, limits.cpus) < 0) {
    return errno;
  }
  for (std::size_t i = 0; i < limits.rlimit_count; ++i) {
    where = static_cast<int>(i);
    if (const int error = set_rlimit(limits.rlimits[i]); error != 0) {
      return error;
    }
  }
  return 0;
}

// Late, because a change of credentials takes it back. The signal comes when the child gets another
// parent, and a parent that has gone before sends none: then the parent is another by now. One that
// is outside of the child's pid namespace is 0, dead or alive.
int bind_to_parent(pid_t parent) noexcept {
  if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
    return errno;
  }
  const long now = syscall(SYS_getppid);
  return now == parent || now == 0 ? 0 : ESRCH;
}

int execute(const char* path, const char* const* argv, const char* const* envp) noexcept {
  return static_cast<int>(syscall(SYS_execve, path, argv, envp));
}

} // namespace sys
} // namespace subproc::detail
