#pragma once

#include <subproc/launcher.hpp>

#include <memory>
#include <span>
#include <string>

#include <sys/types.h>

namespace SUBPROC_NAMESPACE::detail {

/// A start of which somebody else makes the child, by fork(2) or vfork(2), and then has it become
/// the program of a command. An object is for one start. Until finish(), fail() or destruction the
/// calling thread has all signals blocked.
class SUBPROC_API foreign_start {
public:
  /// Throws spawn_error. `shares_memory`: the child will share the caller's (vfork).
  foreign_start(const command& cmd, bool shares_memory);
  foreign_start(const foreign_start&) = delete;
  foreign_start& operator=(const foreign_start&) = delete;
  ~foreign_start();

  /// The first program to try, and its argv.
  const char* program() const noexcept;
  const char* const* argv() const noexcept;

  /// Makes room for so many descriptors in become().
  void make_room(std::size_t kept);

  /// In the child: carries out the command and becomes the program, with this argv, this
  /// environment unless the command has one, and these descriptors left open besides the command's.
  /// Returns the errno of a failure, which the caller will learn of too.
  int become(const char* const* argv, const char* const* envp, std::span<const int> kept) noexcept;

  /// In the child: reports that somebody else's part has failed, and ends it.
  [[noreturn]] void give_up(int error) noexcept;

  /// In the caller: takes the child over, or reaps it and throws what it reported.
  launched_child finish(pid_t pid);

  /// In the caller, after an error of who made the child: discards it and throws what it reported,
  /// else this.
  [[noreturn]] void fail(pid_t pid, error_code ec, const std::string& who);

  /// In the caller: kills and reaps the child (-1: there is none).
  void discard(pid_t pid) noexcept;

private:
  struct state;
  std::unique_ptr<state> state_;
};

/// A child of this process that somebody else has started and not reaped; `own` is what it leads.
/// Throws spawn_error, and has done nothing to it then. Defined in the platform's folder.
SUBPROC_API std::unique_ptr<child> adopt_foreign(pid_t pid, scope own);

/// Throws spawn_error unless this is an unreaped child of this process that leads that scope.
void require_own_child(pid_t pid, scope own);

/// A child that somebody else has started and reaped: `wait_status` is that of waitpid(2).
SUBPROC_API std::unique_ptr<child> make_ended_child(pid_t pid, int wait_status);

/// Makes a pipe's end what launched_child wants. Throws spawn_error.
SUBPROC_API void make_own_pipe_end(const unique_handle& end);

} // namespace subproc::detail
