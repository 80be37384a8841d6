#pragma once

// The bare system-call loops: what a spawn and its reaping cost without any library around them.

#include "serve.hpp"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <system_error>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif

namespace bench::bare {

/// clone3 whose child goes on in `child_main(argument)` on the stack that `args` names; both see
/// one memory, so the child must not return into a frame of the caller.
inline long clone_onto(clone_args& args, void (*child_main)(void*), void* argument) {
#if defined(__x86_64__)
  long result = SYS_clone3;
  register void* fourth asm("r8") = argument;
  asm volatile("syscall\n\t"
               "testq %%rax, %%rax\n\t"
               "jnz 1f\n\t"
               "xorl %%ebp, %%ebp\n\t"
               "movq %%r8, %%rdi\n\t"
               "call *%%rdx\n\t"
               "ud2\n"
               "1:"
               : "+a"(result)
               : "D"(&args), "S"(sizeof args), "d"(child_main), "r"(fourth)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long number asm("x8") = SYS_clone3;
  register void* first asm("x0") = &args;
  register std::size_t second asm("x1") = sizeof args;
  register void (*third)(void*) asm("x2") = child_main;
  register void* fourth asm("x3") = argument;
  asm volatile("svc 0\n\t"
               "cbnz x0, 1f\n\t"
               "mov x29, xzr\n\t"
               "mov x0, x3\n\t"
               "blr x2\n\t"
               "brk 1\n"
               "1:"
               : "+r"(first)
               : "r"(number), "r"(second), "r"(third), "r"(fourth)
               : "memory");
  return reinterpret_cast<long>(first);
#else
#error "no bare clone3 for this processor"
#endif
}

/// What the child of a clone3 gets of the descriptor table.
enum class table {
  copied, ///< a copy of the whole, made by clone3
  cut,    ///< the parent's own until close_range makes a copy of the first few
};

/// clone3 with a pidfd, an epoll that watches it, and waitid.
class clone3_loop {
public:
  explicit clone3_loop(table how) : how_(how) {
    stack_ = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (stack_ == MAP_FAILED || epoll_ < 0) {
      throw_errno("clone3 loop");
    }
  }
  clone3_loop(const clone3_loop&) = delete;
  clone3_loop& operator=(const clone3_loop&) = delete;
  ~clone3_loop() {
    munmap(stack_, stack_bytes);
    close(epoll_);
  }

  /// Starts the program; the result is its pidfd.
  int spawn(const char* program) {
    plan task{program, how_ == table::cut, 0};
    int pidfd = -1;
    clone_args args{};
    args.flags =
        CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | (task.cut ? CLONE_FILES : 0);
    args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
    args.exit_signal = SIGCHLD;
    args.stack = reinterpret_cast<std::uintptr_t>(stack_);
    args.stack_size = stack_bytes;

    // A handler of the parent that ran in the child would run in the parent's memory.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const long pid = clone_onto(args, &child_main, &task);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) {
      throw std::system_error(static_cast<int>(-pid), std::generic_category(), "clone3");
    }
    if (task.error != 0) {
      siginfo_t info;
      syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED, nullptr);
      close(pidfd);
      throw std::system_error(task.error, std::generic_category(), program);
    }
    return pidfd;
  }

  void watch(int pidfd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = pidfd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, pidfd, &event) < 0) {
      throw_errno("epoll_ctl");
    }
  }

  /// Reaps the next watched child that ends.
  void reap_next() {
    for (;;) {
      epoll_event event{};
      if (epoll_wait(epoll_, &event, 1, -1) < 0) {
        if (errno == EINTR) {
          continue;
        }
        throw_errno("epoll_wait");
      }
      if (reap(event.data.fd)) {
        close(event.data.fd);
        return;
      }
    }
  }

  /// Whether the child has ended, and then it is gone.
  static bool reap(int pidfd) {
    siginfo_t info{};
    if (syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOHANG, nullptr) < 0) {
      throw_errno("waitid");
    }
    if (info.si_pid != 0 && info.si_status != 0) {
      throw std::runtime_error("the child failed");
    }
    return info.si_pid != 0;
  }

  sample spawn_and_reap(const char* program) {
    const auto start = now_ns();
    const int pidfd = spawn(program);
    const auto spawned = now_ns();
    watch(pidfd);
    reap_next();
    return {now_ns() - start, spawned - start};
  }

private:
  struct plan {
    const char* program;
    bool cut;
    int error;
  };

  static constexpr std::size_t stack_bytes = 64 * 1024;

  static void child_main(void* argument) {
    auto* const task = static_cast<plan*>(argument);
    if (task->cut) {
      // First of all: until here the table is the parent's own.
      syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_UNSHARE);
    }
    const std::uint64_t none = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
    const char* const argv[] = {task->program, nullptr};
    syscall(SYS_execve, task->program, argv, environ);
    task->error = errno;
    for (;;) {
      syscall(SYS_exit_group, 127);
    }
  }

  table how_;
  void* stack_ = nullptr;
  int epoll_ = -1;
};

inline sample vfork_and_wait4(const char* program) {
  char* const argv[] = {const_cast<char*>(program), nullptr};
  const auto start = now_ns();
  const pid_t pid = vfork();
  if (pid == 0) {
    execve(program, argv, environ);
    _exit(127);
  }
  const auto spawned = now_ns();
  int status = 0;
  if (pid < 0 || wait4(pid, &status, 0, nullptr) < 0 || status != 0) {
    throw_errno("vfork");
  }
  return {now_ns() - start, spawned - start};
}

inline sample posix_spawn_and_waitid(const char* program) {
  char* const argv[] = {const_cast<char*>(program), nullptr};
  const auto start = now_ns();
  pid_t pid = -1;
  const int error = posix_spawn(&pid, program, nullptr, nullptr, argv, environ);
  const auto spawned = now_ns();
  if (error != 0) {
    throw std::system_error(error, std::generic_category(), program);
  }
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) < 0 || info.si_status != 0) {
    throw_errno("waitid");
  }
  return {now_ns() - start, spawned - start};
}

} // namespace bench::bare
