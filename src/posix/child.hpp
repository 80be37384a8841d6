#pragma once

#include <subproc/command.hpp>
#include <subproc/error.hpp>

#include "limits_plan.hpp"

#include <cstddef>

#include <signal.h>
#include <sys/types.h>

namespace SUBPROC_NAMESPACE::detail {

/// The child's own words about a failed start, in memory shared with the parent or on a pipe.
struct child_report {
  int error = 0;
  spawn_step step = spawn_step::exec;
  int where = 0; ///< in a step of several parts; see limits_plan.hpp and ids_differ
};

/// The kernel has taken the ids, and they are others all the same.
inline constexpr int ids_differ = 1;

/// One descriptor of the child: `source` becomes `target`.
struct fd_move {
  int source;
  int target;
  int staged; ///< scratch for the child: where the source is now
};

/// All that the child needs between clone and exec, made by the parent so that the child neither
/// allocates nor takes a lock. Everything pointed to outlives the start.
struct child_plan {
  static constexpr int null_device = -2;

  const char* const* argv = nullptr;
  const char* const* envp = nullptr;
  const char* const* executables = nullptr; ///< tried in turn, ends with a null pointer

  fd_move* moves = nullptr;
  std::size_t move_count = 0;
  const int* kept = nullptr; ///< descriptors above 2 that stay open, sorted
  std::size_t kept_count = 0;
  bool close_fds = true;
  /// First descriptor that the child does not need, when it shares the parent's table; else 0.
  unsigned unshare_from = 0;
  int close_limit = 0; ///< see sys::close_limit
  /// Handlers are already at default (CLONE_CLEAR_SIGHAND).
  bool handlers_cleared = false;

  /// `{"/bin/sh", program, args…, null}` for a program that the kernel cannot execute; the child
  /// fills in the program. Null: no shell.
  const char** shell_argv = nullptr;

  const char* directory = nullptr;
  int umask = -1;
  signal_setup signals = signal_setup::standard;
  sigset_t parent_mask{}; ///< for signal_setup::keep
  bool new_session = false;
  bool set_process_group = false;
  int process_group = 0;
  const limit_steps* limits = nullptr;
  bool set_groups = false;
  const gid_t* groups = nullptr;
  std::size_t group_count = 0;
  bool set_gid = false;
  gid_t gid = 0;
  bool set_uid = false;
  uid_t uid = 0;
  int (*pre_exec)(void*) = nullptr;
  void* pre_exec_argument = nullptr;
  /// The process that the child must not outlive, or 0.
  pid_t parent = 0;

  /// Where a failure is written; -1 means the memory is shared and `report` is read.
  int report_fd = -1;
  volatile child_report* report = nullptr;
  /// Where a child goes on that somebody else has forked, instead of ending: it does not return.
  void (*failed)(void* argument, int error) = nullptr;
  void* failed_argument = nullptr;
};

/// Runs in the child: carries out the plan and becomes the program, or reports and exits with 127.
[[noreturn]] void run_child(child_plan& plan) noexcept;

/// Reports and exits.
[[noreturn]] void fail_child(const child_plan& plan, spawn_step step, int error,
                             int where = 0) noexcept;

/// Whether a descriptor above 2 stays open.
bool is_kept(const child_plan& plan, int descriptor) noexcept;

} // namespace subproc::detail
