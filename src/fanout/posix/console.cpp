#include "../console.hpp"

#include <subproc/quote.hpp>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace fanout {
namespace {

// Somebody who shares the stream has made it non-blocking.
void wait_for(int stream, short event) {
  pollfd entry{stream, event, 0};
  ::poll(&entry, 1, -1);
}

} // namespace

// A file of fanout's own in the place of a closed stdin or stdout would be read as items or be
// written to. What is opened here fails as the closed one does; closed stderr wants no words.
void prepare_streams() {
  ::signal(SIGPIPE, SIG_IGN);
  constexpr int modes[] = {O_WRONLY, O_RDONLY, O_RDWR};
  for (int stream = 0; stream < 3; ++stream) {
    if (::fcntl(stream, F_GETFD) < 0) {
      ::open("/dev/null", modes[stream]);
    }
  }
}

std::vector<std::string> arguments(int argc, char** argv) { return {argv, argv + argc}; }

std::size_t affordable(std::size_t jobs, std::size_t files_a_job, std::size_t own_files) {
  const rlim_t own = own_files;
  const rlim_t each = files_a_job;
  rlimit open_files{};
  if (::getrlimit(RLIMIT_NOFILE, &open_files) != 0 || open_files.rlim_cur == RLIM_INFINITY) {
    return jobs;
  }
  const rlim_t free = std::max(open_files.rlim_cur, own + each) - own;
  return static_cast<std::size_t>(std::min<rlim_t>(jobs, free / each));
}

// As the kernel counts: the strings, each with its NUL and a pointer, and the environment; ARG_MAX
// is a quarter of the stack's limit, up to 6 MiB. The rest is for FANOUT_SEQ and its kin, the path
// of the program and a line "#!".
std::size_t room_for_arguments(std::uint64_t stack_limit) {
  constexpr std::size_t rest = 8192;
  constexpr std::uint64_t most = 6 << 20;
  constexpr std::uint64_t least = 128 << 10;
  const long told = ::sysconf(_SC_ARG_MAX);
  std::uint64_t all = told > 0 ? static_cast<std::uint64_t>(told) : least;
  all = std::max(std::min({all, stack_limit / 4, most}), least);
  std::size_t taken = rest;
  for (char** each = environ; *each != nullptr; ++each) {
    taken += argument_size(std::strlen(*each));
  }
  return static_cast<std::size_t>(all) - std::min(static_cast<std::size_t>(all), taken);
}

std::size_t argument_size(std::size_t length) { return length + 1 + sizeof(char*); }

std::size_t longest_argument() {
  return 32 * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) - 1; // Linux: MAX_ARG_STRLEN
}

// A NUL byte cannot be quoted. It is left to the start of the job, which refuses it: one bad item
// fails alone.
std::optional<std::string> quoted_for_shell(std::string_view item) {
  return item.find('\0') == item.npos ? subproc::quote(item) : std::string(item);
}

std::string_view name_in(std::string_view path) {
  return path.substr(path.find_last_of('/') + 1); // npos + 1 is 0
}

std::string_view folder_of(std::string_view path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == path.npos) {
    return ".";
  }
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool is_terminal(int stream) { return ::isatty(stream) == 1; }

std::size_t terminal_width(int stream) {
  winsize size{};
  return ::ioctl(stream, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::vector<int> stop_signals() {
  std::vector<int> signals;
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    struct sigaction before {};
    if (::sigaction(number, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) {
      signals.push_back(number);
    }
  }
  return signals;
}

const int more_jobs_signal = SIGUSR1; // as xargs -P
const int fewer_jobs_signal = SIGUSR2;

bool comes_twice(int signal) { return signal == SIGHUP; }

read_result read_some(int stream, char* buffer, std::size_t size) {
  for (;;) {
    const ssize_t n = ::read(stream, buffer, size);
    if (n >= 0) {
      return {static_cast<std::size_t>(n), 0};
    }
    if (errno == EAGAIN) {
      wait_for(stream, POLLIN);
    } else if (errno != EINTR) {
      return {0, errno};
    }
  }
}

int write_all(int stream, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(stream, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      wait_for(stream, POLLOUT);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

void start_thread(std::function<void()> work) {
  sigset_t all;
  sigset_t old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  try {
    std::thread(std::move(work)).detach();
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

int open_file(const std::string& path, file_use use) {
  const int flags = use == file_use::read         ? O_RDONLY
                    : use == file_use::create     ? O_WRONLY | O_CREAT | O_TRUNC
                    : use == file_use::create_new ? O_WRONLY | O_CREAT | O_EXCL
                                                  : O_WRONLY | O_CREAT | O_APPEND;
  return ::open(path.c_str(), flags | O_CLOEXEC, 0666);
}

int rewind_file(int descriptor) { return ::lseek(descriptor, 0, SEEK_SET) < 0 ? errno : 0; }

void close_file(int descriptor) { ::close(descriptor); }

pipe_ends make_pipe() {
  int ends[2];
  if (::pipe(ends) != 0) { // pipe2 is not everywhere, and nobody starts a job meanwhile
    throw std::system_error(errno, std::generic_category(), "pipe");
  }
  pipe_ends made{subproc::unique_handle(ends[0]), subproc::unique_handle(ends[1])};
  for (const int end : ends) {
    ::fcntl(end, F_SETFD, FD_CLOEXEC);
  }
  return made;
}

subproc::input_redirect empty_input() {
  static const int opened = open_file("/dev/null", file_use::read);
  return opened < 0 ? subproc::input_redirect(subproc::null) : subproc::fd{opened};
}

const bool jobs_die_with_fanout = FANOUT_JOBS_DIE;

int be_nice(int niceness) {
  errno = 0;
  return ::nice(niceness) == -1 ? errno : 0;
}

void leave(int code) {
  std::fflush(nullptr);
  ::_exit(code);
}

} // namespace fanout
