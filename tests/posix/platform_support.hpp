#pragma once

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace subproc::test {

/// The numbers of this process's open descriptors, in order.
inline std::vector<int> open_descriptors() {
  std::vector<int> numbers;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    numbers.push_back(std::stoi(entry.path().filename().string()));
  }
  std::erase_if(numbers, [](int number) { return ::fcntl(number, F_GETFD) < 0; });
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

/// Whether this process has a child, dead or alive, that nobody has reaped. Reaps none.
inline bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/// Whether this process has a pidfd open: a thread that reaps a child closes it a moment later.
inline bool has_pidfds() {
  const std::vector<int> open = open_descriptors();
  return std::any_of(open.begin(), open.end(), [](int number) {
    std::error_code gone;
    const auto what =
        std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(number), gone);
    return what == "anon_inode:[pidfd]";
  });
}

/// Whether there is such a descriptor.
inline bool is_open(int descriptor) { return ::fcntl(descriptor, F_GETFD) >= 0; }

/// Whether there is a process of that number: runs, or is not reaped.
inline bool is_running(int pid) { return ::kill(pid, 0) == 0; }
/// Ends it, whosoever child it is.
inline void end_process(int pid) { ::kill(pid, SIGKILL); }

/// The path of this program.
inline std::string own_program() { return std::filesystem::read_symlink("/proc/self/exe"); }

inline std::size_t thread_count() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

} // namespace subproc::test
