// clone3 with CLONE_VFORK holds the caller until the program runs, and with CLONE_VM copies
// nothing, so that a spawn costs the same whatever the caller's size. CLONE_PIDFD gives pid and
// pidfd at once: no other process is ever meant. CLONE_CLEAR_SIGHAND saves a look at every handler.
//
// A child normally gets a copy of the descriptor table, and exec closes the copy: at 10,000 open
// descriptors that is half of a spawn. With CLONE_FILES and close_range(CLOSE_RANGE_UNSHARE) as the
// child's first call only what lies below `unshare_from` is copied.

#include "clone3_launcher.hpp"

#include "../posix/fork_launcher.hpp"
#include "low_descriptors.hpp"
#include "pidfd_child.hpp"

#include <atomic>
#include <cerrno>
#include <cstdint>

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif
#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif

namespace SUBPROC_NAMESPACE::detail {
namespace {

struct clone3_arguments {
  std::uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

constexpr std::size_t stack_size = 16 * 1024;

// Returns as clone3 does, in the caller only; the child runs run_cloned_child on its own stack. The
// call is spelled out because a libc function would return on the wrong stack in the child.
long clone3_child(const clone3_arguments& arguments, child_plan& plan) noexcept {
  void (*entry)(child_plan&) noexcept = run_cloned_child;
#if defined(__x86_64__)
  long result = SYS_clone3;
  register void* function __asm__("r8") = reinterpret_cast<void*>(entry);
  register child_plan* argument __asm__("r9") = &plan;
  __asm__ volatile("syscall\n\t"
                   "test %%rax, %%rax\n\t"
                   "jnz 1f\n\t"
                   "xor %%ebp, %%ebp\n\t"
                   "mov %%r9, %%rdi\n\t"
                   "call *%%r8\n\t"
                   "hlt\n"
                   "1:"
                   : "+a"(result)
                   : "D"(&arguments), "S"(sizeof arguments), "r"(function), "r"(argument)
                   : "rcx", "r11", "memory", "cc");
  return result;
#elif defined(__aarch64__)
  register long number __asm__("x8") = SYS_clone3;
  register const void* first __asm__("x0") = &arguments;
  register std::size_t second __asm__("x1") = sizeof arguments;
  register void* function __asm__("x9") = reinterpret_cast<void*>(entry);
  register child_plan* argument __asm__("x10") = &plan;
  register long result __asm__("x0");
  __asm__ volatile("svc #0\n\t"
                   "cbnz x0, 1f\n\t"
                   "mov x29, xzr\n\t"
                   "mov x0, x10\n\t"
                   "blr x9\n\t"
                   "brk #1\n"
                   "1:"
                   : "=r"(result)
                   : "r"(number), "r"(first), "r"(second), "r"(function), "r"(argument)
                   : "memory", "cc");
  return result;
#else
  static_cast<void>(arguments);
  static_cast<void>(plan);
  static_cast<void>(entry);
  return -ENOSYS;
#endif
}

void reap(int pidfd) noexcept {
  siginfo_t info{};
  while (syscall(SYS_waitid, 3 /* P_PIDFD */, pidfd, &info, WEXITED, nullptr) < 0 &&
         errno == EINTR) {
  }
}

std::atomic<bool> clone3_refused{false};
std::atomic<bool> unshare_refused{false};

struct attempt {
  long result = 0; ///< pid, or minus errno
  unique_handle pidfd;
  child_report report;
};

attempt try_clone3(child_plan& plan) {
  alignas(64) unsigned char stack[stack_size];
  attempt tried;
  int pidfd = -1;
  plan.report_fd = -1;
  plan.report = &tried.report;
  plan.handlers_cleared = true;
  clone3_arguments arguments{};
  arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  if (plan.unshare_from != 0) {
    arguments.flags |= CLONE_FILES;
  }
  arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<std::uintptr_t>(stack);
  arguments.stack_size = sizeof stack;
  {
    const signal_block blocked;
    plan.parent_mask = blocked.old_mask();
    tried.result = clone3_child(arguments, plan);
  }
  tried.pidfd.reset(pidfd);
  return tried;
}

} // namespace

std::optional<std::unique_ptr<child>> start_by_clone3(launch_plan& plan, scope own) {
  if (clone3_refused.load(std::memory_order_relaxed)) {
    return std::nullopt;
  }
  child_plan& child = plan.child();
  std::optional<low_descriptors::lease> lease;
  if (child.close_fds && !unshare_refused.load(std::memory_order_relaxed)) {
    lease.emplace(low_descriptors::lower(plan));
    child.unshare_from = static_cast<unsigned>(plan.highest_source()) + 1;
  }
  attempt tried = try_clone3(child);
  if (tried.result > 0 && tried.report.error != 0 && tried.report.step == spawn_step::close_fds &&
      child.unshare_from != 0) {
    reap(tried.pidfd.get());
    unshare_refused.store(true, std::memory_order_relaxed);
    child.unshare_from = 0;
    tried = try_clone3(child);
  }
  child.handlers_cleared = false;
  child.unshare_from = 0;
  if (tried.result < 0) {
    const int error = static_cast<int>(-tried.result);
    if (error == ENOSYS || error == EPERM || error == EINVAL) {
      clone3_refused.store(true, std::memory_order_relaxed);
      return std::nullopt;
    }
    throw spawn_error(error_code(error, detail::system_category()), spawn_step::fork, {});
  }
  if (tried.report.error != 0) {
    reap(tried.pidfd.get());
    throw plan.error(tried.report);
  }
  return make_pidfd_child(static_cast<pid_t>(tried.result), std::move(tried.pidfd), own);
}

} // namespace subproc::detail
