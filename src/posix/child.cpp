// What runs in the child between clone and exec. It may share the parent's memory (vfork), so it
// calls only what system.hpp has for a child: no allocation, no lock, no libc function that keeps
// state, no exception, no destructor. The file is compiled without sanitizers, whose run-time must
// not be entered from here.

#include "child.hpp"

#include "system.hpp"

#include <cerrno>
#include <climits>

#include <fcntl.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

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

// To a number that is no target: above them all, else, below the limit of open files, in a gap.
int duplicate_away(const child_plan& plan, int descriptor) noexcept {
  const int above = sys::duplicate_above(descriptor, first_free_above_targets(plan));
  if (above >= 0 || errno != EINVAL) {
    return above;
  }
  for (int lowest = 3;;) {
    const int copy = sys::duplicate_above(descriptor, lowest);
    if (copy < 0 || !is_target(plan, copy)) {
      return copy;
    }
    sys::close(copy);
    lowest = copy + 1;
  }
}

// Opens the null device once, for all targets that want it, above every target.
int open_null(child_plan& plan) noexcept {
  const int opened = sys::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (opened < 0) {
    fail_child(plan, spawn_step::open, errno);
  }
  if (opened > 2 && !is_target(plan, opened)) {
    return opened;
  }
  const int moved = duplicate_away(plan, opened);
  if (moved < 0) {
    fail_child(plan, spawn_step::open, errno);
  }
  sys::close(opened);
  return moved;
}

// A source that is also the target of another move is put out of the way first, so that swaps and
// chains of any length come out right. dup2 onto itself would leave close-on-exec set.
void move_descriptors(child_plan& plan) noexcept {
  int null_fd = -1;
  if (plan.report_fd >= 0 && (plan.report_fd < 3 || is_target(plan, plan.report_fd))) {
    const int moved = duplicate_away(plan, plan.report_fd);
    if (moved < 0) {
      fail_child(plan, spawn_step::dup2, errno);
    }
    plan.report_fd = moved;
  }
  for (std::size_t i = 0; i < plan.move_count; ++i) {
    fd_move& move = plan.moves[i];
    move.staged = move.source;
    if (move.source >= 0 && move.source != move.target && is_target(plan, move.source)) {
      move.staged = duplicate_away(plan, move.source);
      if (move.staged < 0) {
        fail_child(plan, spawn_step::dup2, errno);
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
    const int result = move.staged == move.target ? sys::keep_on_exec(move.target)
                                                  : sys::duplicate_to(move.staged, move.target);
    if (result < 0) {
      fail_child(plan, spawn_step::dup2, errno);
    }
  }
}

// Without CLONE_CLEAR_SIGHAND the caller's handlers are still installed and must go before the
// mask is opened, or one of them would run here.
void clear_handlers() noexcept {
  for (int number = 1; number <= sys::highest_signal(); ++number) {
    if (sys::has_handler(number)) {
      sys::set_default(number);
    }
  }
}

void set_signals(const child_plan& plan) noexcept {
  if (!plan.handlers_cleared) {
    clear_handlers();
  }
  if (plan.signals == signal_setup::standard) {
    sys::set_default(SIGPIPE);
    sys::set_default(SIGXFSZ);
    sys::set_default(SIGCHLD);
  } else if (plan.signals == signal_setup::reset_all) {
    for (int number = 1; number <= sys::highest_signal(); ++number) {
      if (number != SIGKILL && number != SIGSTOP) {
        sys::set_default(number);
      }
    }
  }
}

void open_mask(const child_plan& plan) noexcept {
  sigset_t none;
  sigemptyset(&none);
  if (sys::set_mask(plan.signals == signal_setup::keep ? &plan.parent_mask : &none, nullptr) < 0) {
    fail_child(plan, spawn_step::signals, errno);
  }
}

void set_session(const child_plan& plan) noexcept {
  if (plan.new_session && sys::new_session() < 0) {
    fail_child(plan, spawn_step::setsid, errno);
  }
  if (plan.set_process_group && sys::set_group(plan.process_group) < 0) {
    fail_child(plan, spawn_step::setpgid, errno);
  }
}

// Groups first and the user last, who may not change the others any more. Each is looked at
// again: a program must not start with rights that were to be gone, whatever a filter has answered.
void set_credentials(const child_plan& plan) noexcept {
  if (plan.set_groups && sys::set_groups(plan.group_count, plan.groups) < 0) {
    fail_child(plan, spawn_step::setgroups, errno);
  }
  if (plan.set_gid && sys::set_gid(plan.gid) < 0) {
    fail_child(plan, spawn_step::setgid, errno);
  }
  if (plan.set_uid && sys::set_uid(plan.uid) < 0) {
    fail_child(plan, spawn_step::setuid, errno);
  }
  if (plan.set_groups && sys::group_count() != static_cast<int>(plan.group_count)) {
    fail_child(plan, spawn_step::setgroups, EPERM, ids_differ);
  }
  if (plan.set_gid && !sys::has_gid(plan.gid)) {
    fail_child(plan, spawn_step::setgid, EPERM, ids_differ);
  }
  if (plan.set_uid && !sys::has_uid(plan.uid)) {
    fail_child(plan, spawn_step::setuid, EPERM, ids_differ);
  }
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
      if (!sys::close_range(from, last)) {
        sys::close_one_by_one(plan);
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
    sys::execute(*program, plan.argv, plan.envp);
    last = errno;
    if (last == ENOEXEC && plan.shell_argv) {
      plan.shell_argv[1] = *program;
      sys::execute(plan.shell_argv[0], plan.shell_argv, plan.envp);
    }
    if (last != ENOENT && last != ENOTDIR && remembered == 0) {
      remembered = last;
    }
  }
  fail_child(plan, spawn_step::exec, remembered != 0 ? remembered : last);
}

} // namespace

void fail_child(const child_plan& plan, spawn_step step, int error, int where) noexcept {
  if (plan.report_fd >= 0) {
    const child_report report{error, step, where};
    while (sys::write(plan.report_fd, &report, sizeof report) < 0 && errno == EINTR) {
    }
  } else {
    plan.report->step = step;
    plan.report->where = where;
    plan.report->error = error;
  }
  if (plan.failed) {
    plan.failed(plan.failed_argument, error);
  }
  sys::exit(127);
}

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

void run_child(child_plan& plan) noexcept {
  move_descriptors(plan);
  if (plan.directory && sys::change_directory(plan.directory) < 0) {
    fail_child(plan, spawn_step::chdir, errno);
  }
  // It cannot fail, but a filter can refuse it: then the child's files would be open to others.
  if (plan.umask >= 0 && sys::set_umask(plan.umask) < 0) {
    fail_child(plan, spawn_step::umask, errno);
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
    int where = 0;
    if (const int error = sys::set_limits(*plan.limits, where); error != 0) {
      fail_child(plan, spawn_step::limits, error, where);
    }
  }
  set_credentials(plan);
  if (plan.pre_exec) {
    open_mask(plan);
    const bool inherits = plan.envp == environ;
    if (const int error = plan.pre_exec(plan.pre_exec_argument); error != 0) {
      fail_child(plan, spawn_step::pre_exec, error);
    }
    if (inherits) {
      plan.envp = environ; // the hook may have changed it
    }
    if (close_fds) {
      close_others(plan);
    }
  }
  if (plan.parent != 0) {
    if (const int error = sys::bind_to_parent(plan.parent); error != 0) {
      fail_child(plan, spawn_step::die_with_parent, error);
    }
  }
  open_mask(plan);
  exec(plan);
}

} // namespace subproc::detail
