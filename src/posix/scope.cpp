#include "scope.hpp"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

struct process_stat {
  char state;
  int group;
  int session;
};

bool want_of_room(int error) noexcept {
  return error == EMFILE || error == ENFILE || error == ENOMEM;
}

// /proc/PID/stat: pid (comm) state ppid pgrp session …; comm may hold anything, so from the last
// ')'.
// Nothing, with errno, for a process that has gone.
std::optional<process_stat> read_stat(int pid) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
  const unique_handle opened(::open(path, O_RDONLY | O_CLOEXEC));
  if (!opened) {
    return std::nullopt;
  }
  char text[512];
  const ssize_t size = ::read(opened.get(), text, sizeof text - 1);
  if (size <= 0) {
    errno = size == 0 ? ESRCH : errno;
    return std::nullopt;
  }
  text[size] = '\0';
  const char* after = std::strrchr(text, ')');
  process_stat result{};
  int parent = 0;
  if (!after || std::sscanf(after + 1, " %c %d %d %d", &result.state, &parent, &result.group,
                            &result.session) != 4) {
    errno = EINVAL;
    return std::nullopt;
  }
  return result;
}

} // namespace

std::optional<std::vector<int>> scope_members(scope target, pid_t id) {
  std::vector<int> members;
  bool has_processes = false; // else it is a folder like any other
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(::opendir("/proc"), &::closedir);
  if (!proc) {
    return std::nullopt;
  }
  while (const dirent* entry = ::readdir(proc.get())) {
    const char* end = entry->d_name + std::strlen(entry->d_name);
    int pid = 0;
    const auto [stop, ec] = std::from_chars(entry->d_name, end, pid);
    if (ec != std::errc() || stop != end) {
      continue;
    }
    const std::optional<process_stat> stat = read_stat(pid);
    if (!stat && want_of_room(errno)) {
      return std::nullopt;
    }
    has_processes = has_processes || stat;
    if (!stat || stat->state == 'Z' || stat->state == 'X') {
      continue;
    }
    const int own = target == scope::session ? stat->session
                    : target == scope::group ? stat->group
                                             : pid;
    if (own == id) {
      members.push_back(pid);
    }
  }
  return has_processes ? std::optional(std::move(members)) : std::nullopt;
}

error_code check_not_own(scope target, pid_t id) noexcept {
  const bool own = (target == scope::group && id == ::getpgrp()) ||
                   (target == scope::session && id == ::getsid(0));
  return own ? detail::generic_error(std::errc::operation_not_permitted) : error_code();
}

void signal_session_stragglers(pid_t session, int number) {
  const auto members = scope_members(scope::session, session);
  for (const int pid : members.value_or(std::vector<int>())) {
    if (pid != session && ::getsid(pid) == session) {
      ::kill(pid, number);
    }
  }
}

exit_status status_from(int code, int value) noexcept {
  return code == CLD_EXITED ? exit_status::from_code(value)
                            : exit_status::from_signal(value, code == CLD_DUMPED);
}

exit_status status_from_wait(int status) noexcept {
  if (WIFEXITED(status)) {
    return exit_status::from_code(WEXITSTATUS(status));
  }
  return exit_status::from_signal(WTERMSIG(status), WCOREDUMP(status));
}

void unlisted_group::signalled(int number, scope target) noexcept {
  killed_ = killed_ || (number == SIGKILL && target != scope::process);
}

bool unlisted_group::can_list_processes() noexcept {
  return ::access("/proc/self/stat", R_OK) == 0;
}

bool unlisted_group::nobody_has(pid_t id) noexcept { return ::kill(-id, 0) < 0 && errno == ESRCH; }

} // namespace subproc::detail
