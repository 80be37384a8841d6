// Functions of POSIX, and calls that CMakeLists.txt has found in this system's libc. Compiled
// without sanitizers, as child.cpp.

#include "system.hpp"

#include "../check.hpp"
#include "../platform.hpp"
#include "reap.hpp"
#include "scope.hpp"
#include "usage.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <string>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <grp.h>

namespace SUBPROC_NAMESPACE::detail {

void grow_pipe(native_handle_type) noexcept {}

// wait4 gives the usage together with the status, but has to take both.
child_news look_at(idtype_t by, id_t id, bool reap) noexcept {
  if (reap && by == P_PID) {
    int status = 0;
    rusage usage{};
    pid_t ended = 0;
    do {
      ended = ::wait4(static_cast<pid_t>(id), &status, WNOHANG, &usage);
    } while (ended < 0 && errno == EINTR);
    if (ended < 0) {
      return {};
    }
    if (ended == 0) {
      return {child_news::state::running, {}};
    }
    return {child_news::state::ended, {status_from_wait(status), usage_from(usage)}};
  }
  siginfo_t info{};
  int result = 0;
  do {
    result = ::waitid(by, id, &info, WEXITED | WNOHANG | (reap ? 0 : WNOWAIT));
  } while (result < 0 && errno == EINTR);
  if (result < 0) {
    return {};
  }
  if (info.si_pid == 0) {
    return {child_news::state::running, {}};
  }
  return {child_news::state::ended, {status_from(info.si_code, info.si_status), {}}};
}

namespace sys {
namespace {

constexpr int enough = 65536; // numbers to close where nothing tells what is open
constexpr int slack = 1024;   // for what other threads open meanwhile: the lowest free numbers

[[maybe_unused]] int highest_open() noexcept {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/dev/fd"), &::closedir);
  int highest = -1;
  while (const dirent* entry = folder ? ::readdir(folder.get()) : nullptr) {
    highest = std::max(highest, std::atoi(entry->d_name));
  }
  return highest;
}

// /dev/fd/N may be another open file, or only another name for dup(N).
bool opens_anew() noexcept {
  static const bool anew = [] {
    int ends[2];
    if (open_pipe(ends) < 0) {
      return false;
    }
    const unique_handle read_end(ends[0]);
    const unique_handle write_end(ends[1]);
    const std::string path = "/dev/fd/" + std::to_string(ends[0]);
    const unique_handle second(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    return second && (::fcntl(ends[0], F_GETFL) & O_NONBLOCK) == 0 &&
           (::fcntl(second.get(), F_GETFL) & O_NONBLOCK) != 0;
  }();
  return anew;
}

rlim_t own_limit(std::uint64_t value) noexcept {
  return value == unlimited ? RLIM_INFINITY : static_cast<rlim_t>(value);
}

int set_rlimit(const rlimit_step& step) noexcept {
  rlimit now{};
  if (step.keep_hard && ::getrlimit(step.resource, &now) < 0) {
    return errno;
  }
  const rlimit value{own_limit(step.value.soft),
                     step.keep_hard ? now.rlim_max : own_limit(step.value.hard)};
  return ::setrlimit(step.resource, &value) < 0 ? errno : 0;
}

bool true_or_refused(bool is) noexcept {
  errno = is ? errno : EPERM;
  return is;
}

} // namespace

const std::size_t resident_unit = SUBPROC_RESIDENT_UNIT;

void check_options(const command& cmd) {
  static const std::string missing = "this platform has no such thing";
  if (cmd.dies_with_parent()) {
    refuse("die_with_parent", missing);
  }
  if (cmd.pipe_size()) {
    refuse("pipe_size", missing);
  }
  const limits* const given = cmd.get<limits>();
  if (given == nullptr) {
    return;
  }
  if (given->cpus) {
    refuse("limits.cpus", missing);
  }
  if (given->oom_score_adj) {
    refuse("limits.oom_score_adj", missing);
  }
  for (const resource_limit& each : given->rlimits) {
    const resource which = std::get<resource>(each.which);
    if (limit_number(which) < 0) {
      refuse((std::string("limits.") + to_string(which)).c_str(), missing);
    }
  }
}

int open_pipe(int (&ends)[2], int flags) noexcept {
#ifdef SUBPROC_HAS_PIPE2
  return ::pipe2(ends, O_CLOEXEC | flags);
#else
  if (::pipe(ends) < 0) {
    return -1;
  }
  for (const int end : ends) {
    ::fcntl(end, F_SETFD, FD_CLOEXEC);
    ::fcntl(end, F_SETFL, flags);
  }
  return 0;
#endif
}

int set_pipe_size(int, int) noexcept { return 0; } // refused before

unique_handle open_again(int descriptor, int flags) noexcept {
  if (opens_anew()) {
    std::array<char, 32> path{"/dev/fd/"};
    std::to_chars(path.data() + 8, path.data() + path.size() - 1, descriptor);
    return unique_handle(::open(path.data(), flags | O_CLOEXEC));
  }
  std::array<char, 256> terminal;
  if (::ttyname_r(descriptor, terminal.data(), terminal.size()) != 0) {
    return {};
  }
  return unique_handle(::open(terminal.data(), flags | O_CLOEXEC));
}

void take_pending(const sigset_t& signals) noexcept {
#ifdef SUBPROC_HAS_SIGTIMEDWAIT
  const timespec none{};
  while (::sigtimedwait(&signals, nullptr, &none) < 0 && errno == EINTR) {
  }
#else
  sigset_t pending;
  int taken = 0;
  for (int number = 1; number <= highest_signal(); ++number) {
    if (sigismember(&signals, number) == 1 && ::sigpending(&pending) == 0 &&
        sigismember(&pending, number) == 1) {
      ::sigwait(&signals, &taken);
    }
  }
#endif
}

// With the program's handlers, without which libc cannot change the ids of the child.
pid_t fork() noexcept { return ::fork(); }

int close_limit() noexcept {
#ifdef SUBPROC_HAS_CLOSE_RANGE
  static const bool works = ::close_range(~0U, ~0U, 0) == 0;
  if (works) {
    return 0;
  }
#elif defined(SUBPROC_HAS_CLOSEFROM)
  return 0;
#endif
  const int highest = highest_open();
  return highest < 0 ? enough : highest + slack;
}

void exit(int code) noexcept { ::_exit(code); }

ssize_t write(int descriptor, const void* data, std::size_t size) noexcept {
  return ::write(descriptor, data, size);
}

int open(const char* path, int flags) noexcept { return ::open(path, flags); }

int close(int descriptor) noexcept { return ::close(descriptor); }

int duplicate_above(int descriptor, int lowest) noexcept {
  return ::fcntl(descriptor, F_DUPFD_CLOEXEC, lowest);
}

int duplicate_to(int descriptor, int target) noexcept { return ::dup2(descriptor, target); }

int keep_on_exec(int descriptor) noexcept { return ::fcntl(descriptor, F_SETFD, 0); }

#ifdef SUBPROC_HAS_CLOSE_RANGE
bool close_range(unsigned first, unsigned last) noexcept {
  return ::close_range(first, last, 0) == 0;
}
#elif defined(SUBPROC_HAS_CLOSEFROM)
bool close_range(unsigned first, unsigned last) noexcept {
  if (last == ~0U) {
    ::closefrom(static_cast<int>(first));
    return true;
  }
  for (unsigned descriptor = first; descriptor <= last; ++descriptor) {
    ::close(static_cast<int>(descriptor));
  }
  return true;
}
#else
bool close_range(unsigned, unsigned) noexcept { return false; }
#endif

void close_one_by_one(const child_plan& plan) noexcept {
  const int end = plan.close_limit > 0 ? plan.close_limit : enough;
  for (int descriptor = 3; descriptor < end; ++descriptor) {
    if (!is_kept(plan, descriptor)) {
      ::close(descriptor);
    }
  }
}

int change_directory(const char* path) noexcept { return ::chdir(path); }

int set_umask(int mask) noexcept {
  ::umask(static_cast<mode_t>(mask));
  return 0;
}

int new_session() noexcept { return ::setsid() < 0 ? -1 : 0; }

int set_group(int group) noexcept { return ::setpgid(0, group); }

int highest_signal() noexcept {
#ifdef SIGRTMAX
  return SIGRTMAX;
#else
  return NSIG - 1;
#endif
}

bool has_handler(int number) noexcept {
  struct sigaction action {};
  return ::sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_DFL &&
         action.sa_handler != SIG_IGN;
}

void set_default(int number) noexcept {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(number, &action, nullptr);
}

int set_mask(const sigset_t* wanted, sigset_t* old) noexcept {
  errno = ::pthread_sigmask(SIG_SETMASK, wanted, old);
  return errno == 0 ? 0 : -1;
}

int set_groups(std::size_t count, const gid_t* groups) noexcept {
  return ::setgroups(static_cast<decltype(::getgroups(0, nullptr))>(count), groups);
}

int group_count() noexcept { return ::getgroups(0, nullptr); }

#ifdef SUBPROC_HAS_SETRESUID
int set_gid(gid_t id) noexcept { return ::setresgid(id, id, id); }

int set_uid(uid_t id) noexcept { return ::setresuid(id, id, id); }

bool has_gid(gid_t id) noexcept {
  gid_t real = 0;
  gid_t effective = 0;
  gid_t saved = 0;
  return true_or_refused(::getresgid(&real, &effective, &saved) == 0 && real == id &&
                         effective == id && saved == id);
}

bool has_uid(uid_t id) noexcept {
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  return true_or_refused(::getresuid(&real, &effective, &saved) == 0 && real == id &&
                         effective == id && saved == id);
}
#else
// The saved id becomes the effective one.
int set_gid(gid_t id) noexcept { return ::setregid(id, id); }

int set_uid(uid_t id) noexcept { return ::setreuid(id, id); }

bool has_gid(gid_t id) noexcept { return true_or_refused(::getgid() == id && ::getegid() == id); }

bool has_uid(uid_t id) noexcept { return true_or_refused(::getuid() == id && ::geteuid() == id); }
#endif

// The limits come last, that of open files is then in nobody's way.
int set_limits(const limit_steps& limits, int& where) noexcept {
  where = at_nice;
  if (limits.set_nice && ::setpriority(PRIO_PROCESS, 0, limits.nice) < 0) {
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

int bind_to_parent(pid_t) noexcept { return ENOSYS; } // refused before

int execute(const char* path, const char* const* argv, const char* const* envp) noexcept {
  return ::execve(path, const_cast<char* const*>(argv), const_cast<char* const*>(envp));
}

} // namespace sys
} // namespace subproc::detail
