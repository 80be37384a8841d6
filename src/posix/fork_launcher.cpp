#include "fork_launcher.hpp"

#include "reap.hpp"
#include "system.hpp"

#include <cerrno>

#include <signal.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

[[noreturn]] void fail(spawn_step step, int error) {
  throw spawn_error(error_code(error, detail::system_category()), step, {});
}

// noinline: the frame in which vfork returns twice holds nothing but this.
[[gnu::noinline]] pid_t vfork_child(child_plan& plan) noexcept {
  const pid_t pid = ::vfork();
  if (pid == 0) {
    run_child(plan);
  }
  return pid;
}

[[gnu::noinline]] pid_t probe_child(volatile bool& written) noexcept {
  const pid_t pid = ::vfork();
  if (pid == 0) {
    written = true;
    sys::exit(0);
  }
  return pid;
}

// Under valgrind, TSan and qemu's user emulation vfork is a fork: what the child writes is not
// seen.
bool vfork_shares_memory() noexcept {
  static const bool shares = [] {
    const signal_block blocked;
    volatile bool written = false;
    const pid_t pid = probe_child(written);
    if (pid > 0) {
      reap_child(pid);
    }
    return static_cast<bool>(written);
  }();
  return shares;
}

// The caller's end of a close-on-exec pipe: end-of-file means the program runs.
void read_report(launch_plan& plan, pid_t pid, int descriptor) {
  child_report report;
  std::size_t have = 0;
  while (have < sizeof report) {
    const ssize_t n =
        ::read(descriptor, reinterpret_cast<char*>(&report) + have, sizeof report - have);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) { // it may run or not: nobody must be left with a child that is unknown
      const int error = errno;
      discard_child(pid);
      fail(spawn_step::fork, error);
    }
    if (n == 0) {
      break;
    }
    have += static_cast<std::size_t>(n);
  }
  if (have == 0) {
    return;
  }
  reap_child(pid);
  if (have != sizeof report) {
    throw spawn_error(make_error_code(errc::bad_report), spawn_step::fork, {});
  }
  throw plan.error(report);
}

template <class Start>
pid_t start_with_pipe(launch_plan& plan, Start start) {
  int ends[2];
  if (sys::open_pipe(ends) < 0) {
    fail(spawn_step::pipe, errno);
  }
  const unique_handle read_end(ends[0]);
  unique_handle write_end(ends[1]);
  plan.child().report_fd = write_end.get();
  pid_t pid = 0;
  {
    const signal_block blocked;
    plan.child().parent_mask = blocked.old_mask();
    pid = start(plan.child());
  }
  if (pid < 0) {
    fail(spawn_step::fork, errno);
  }
  write_end.reset();
  read_report(plan, pid, read_end.get());
  return pid;
}

} // namespace

signal_block::signal_block() noexcept {
  sigset_t all;
  sigfillset(&all);
  sys::set_mask(&all, &old_);
}

signal_block::~signal_block() {
  const int saved = errno;
  sys::set_mask(&old_, nullptr);
  errno = saved;
}

pid_t start_by_vfork(launch_plan& plan) {
  if (!vfork_shares_memory()) {
    return start_with_pipe(plan, [](child_plan& child) { return vfork_child(child); });
  }
  child_report report;
  plan.child().report_fd = -1;
  plan.child().report = &report;
  pid_t pid = 0;
  {
    const signal_block blocked;
    plan.child().parent_mask = blocked.old_mask();
    pid = vfork_child(plan.child());
  }
  if (pid < 0) {
    fail(spawn_step::fork, errno);
  }
  if (static_cast<volatile child_report&>(report).error != 0) {
    reap_child(pid);
    throw plan.error(report);
  }
  return pid;
}

pid_t start_by_fork(launch_plan& plan) {
  return start_with_pipe(plan, [](child_plan& child) {
    const pid_t pid = sys::fork();
    if (pid == 0) {
      run_child(child);
    }
    return pid;
  });
}

} // namespace subproc::detail
