#include "foreign_start.hpp"

#include "../check.hpp"
#include "../redirects.hpp"
#include "fork_launcher.hpp"
#include "plan.hpp"
#include "reap.hpp"
#include "reaped_child.hpp"
#include "scope.hpp"
#include "system.hpp"

#include <algorithm>
#include <cerrno>
#include <csetjmp>
#include <optional>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

[[noreturn]] void throw_errno(spawn_step step) {
  throw spawn_error(error_code(errno, system_category()), step, {});
}

void refuse_options(const command& cmd, bool shares_memory) {
  if (cmd.dies_with_parent()) {
    refuse("die_with_parent", "needs a launcher of the library's own, whose threads never end");
  }
  if (!shares_memory) {
    return;
  }
  const std::pair<const char*, bool> options[] = {{"user", cmd.user().has_value()},
                                                  {"group", cmd.group().has_value()},
                                                  {"extra_groups", cmd.extra_groups().has_value()},
                                                  {"pre_exec", cmd.pre_exec().has_value()}};
  for (const auto& [name, given] : options) {
    if (given) {
      refuse(name, "needs a launcher that forks: this one shares its memory with the child");
    }
  }
}

// Where a child goes on that could not become the program.
struct way_back {
  std::jmp_buf place;
  int error = 0;
};

void go_back(void* argument, int error) {
  way_back& back = *static_cast<way_back*>(argument);
  back.error = error;
  std::longjmp(back.place, 1); // passes frames of child.cpp alone, which have no destructors
}

} // namespace

struct foreign_start::state {
  explicit state(const command& cmd) : plan(cmd), own(scope_of(cmd)) {}

  // What the command does not name is the business of who makes the child.
  void leave_inherited(const command& cmd) {
    const bool inherits[] = {std::holds_alternative<inherit_t>(effective_in(cmd)),
                             std::holds_alternative<inherit_t>(effective_out(cmd)),
                             std::holds_alternative<inherit_t>(effective_err(cmd))};
    child_plan& child = plan.child();
    const auto end =
        std::remove_if(child.moves, child.moves + child.move_count, [&](const fd_move& move) {
          return move.target < 3 && inherits[move.target];
        });
    child.move_count = static_cast<std::size_t>(end - child.moves);
  }

  void open_report() {
    int ends[2];
    if (sys::open_pipe(ends) < 0) {
      throw_errno(spawn_step::pipe);
    }
    report_end.reset(ends[0]);
    child_end.reset(ends[1]);
    plan.child().report_fd = child_end.get();
  }

  // Nothing: the program runs, or the child did not come as far as to report.
  std::optional<spawn_error> read_report() {
    child_end.reset();
    child_report report;
    std::size_t have = 0;
    while (have < sizeof report) {
      const ssize_t n =
          ::read(report_end.get(), reinterpret_cast<char*>(&report) + have, sizeof report - have);
      if (n < 0 && errno == EINTR) {
        continue;
      }
      if (n < 0) {
        return spawn_error(error_code(errno, system_category()), spawn_step::fork, {});
      }
      if (n == 0) {
        break;
      }
      have += static_cast<std::size_t>(n);
    }
    if (have == 0) {
      return std::nullopt;
    }
    return have == sizeof report
               ? plan.error(report)
               : spawn_error(make_error_code(errc::bad_report), spawn_step::fork, {});
  }

  launch_plan plan;
  scope own;
  bool inherits_environment = true;
  bool reported = false; ///< in the child
  unique_handle report_end;
  unique_handle child_end;
  std::vector<int> kept;
  std::optional<signal_block> blocked;
};

foreign_start::foreign_start(const command& cmd, bool shares_memory) {
  refuse_options(cmd, shares_memory);
  state_ = std::make_unique<state>(cmd);
  state_->leave_inherited(cmd);
  state_->inherits_environment = !cmd.env();
  state_->open_report();
  make_room(0);
  state_->blocked.emplace();
  state_->plan.child().parent_mask = state_->blocked->old_mask();
}

foreign_start::~foreign_start() = default;

const char* foreign_start::program() const noexcept { return *state_->plan.child().executables; }

const char* const* foreign_start::argv() const noexcept { return state_->plan.child().argv; }

void foreign_start::make_room(std::size_t kept) {
  state_->kept.resize(state_->plan.child().kept_count + kept);
}

int foreign_start::become(const char* const* argv, const char* const* envp,
                          std::span<const int> kept) noexcept {
  child_plan& plan = state_->plan.child();
  plan.argv = argv;
  if (state_->inherits_environment && envp) {
    plan.envp = envp;
  }
  // Sorted, each once, without an allocation.
  int* end = std::copy(plan.kept, plan.kept + plan.kept_count, state_->kept.data());
  const int* const last = state_->kept.data() + state_->kept.size();
  for (const int descriptor : kept) {
    int* const place = std::lower_bound(state_->kept.data(), end, descriptor);
    if (descriptor > 2 && end != last && (place == end || *place != descriptor)) {
      std::move_backward(place, end, end + 1);
      *place = descriptor;
      ++end;
    }
  }
  plan.kept = state_->kept.data();
  plan.kept_count = static_cast<std::size_t>(end - state_->kept.data());

  way_back back;
  plan.failed = go_back;
  plan.failed_argument = &back;
  if (setjmp(back.place) == 0) {
    run_child(plan);
  }
  state_->reported = true;
  return back.error;
}

// Nothing that the program has registered for its exit is run.
void foreign_start::give_up(int error) noexcept {
  if (!state_->reported) {
    const child_report report{error, spawn_step::pre_exec};
    while (::write(state_->plan.child().report_fd, &report, sizeof report) < 0 && errno == EINTR) {
    }
  }
  sys::exit(127);
}

launched_child foreign_start::finish(pid_t pid) {
  state_->blocked.reset();
  if (auto error = state_->read_report()) {
    discard(pid);
    throw *std::move(error);
  }
  launched_child started;
  try {
    started.child = adopt_foreign(pid, state_->own);
  } catch (...) {
    discard(pid);
    throw;
  }
  started.in = std::move(state_->plan.in);
  started.out = std::move(state_->plan.out);
  started.err = std::move(state_->plan.err);
  return started;
}

void foreign_start::fail(pid_t pid, error_code ec, const std::string& who) {
  // A child that has failed ends by itself, and may be about to report.
  auto error = state_->read_report();
  discard(pid);
  if (error) {
    throw *std::move(error);
  }
  throw spawn_error(ec, spawn_step::fork, {}, who);
}

void foreign_start::discard(pid_t pid) noexcept {
  state_->blocked.reset();
  if (pid > 0) {
    discard_child(pid);
  }
}

void require_own_child(pid_t pid, scope own) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) < 0) {
    // With SIGCHLD ignored a child that has ended is gone, and was one all the same.
    struct sigaction chld {};
    ::sigaction(SIGCHLD, nullptr, &chld);
    if (chld.sa_handler != SIG_IGN && (chld.sa_flags & SA_NOCLDWAIT) == 0) {
      throw spawn_error(error_code(errno, system_category()), spawn_step::arguments, "adopt",
                        "there is no such child, or it has been reaped");
    }
  }
  if (const pid_t group = ::getpgid(pid); own == scope::group && group >= 0 && group != pid) {
    refuse("process_group", "the child leads no process group");
  }
  if (const pid_t session = ::getsid(pid);
      own == scope::session && session >= 0 && session != pid) {
    refuse("new_session", "the child leads no session");
  }
}

std::unique_ptr<child> make_ended_child(pid_t pid, int wait_status) {
  return make_reaped_child(pid, {status_from_wait(wait_status), {}});
}

void make_own_pipe_end(const unique_handle& end) {
  const int flags = end ? ::fcntl(end.get(), F_GETFL) : 0;
  if (end && (flags < 0 || ::fcntl(end.get(), F_SETFL, flags | O_NONBLOCK) < 0 ||
              ::fcntl(end.get(), F_SETFD, FD_CLOEXEC) < 0)) {
    throw_errno(spawn_step::pipe);
  }
}

} // namespace subproc::detail
