#pragma once

#include <subproc/detail/asio.hpp>
#include <subproc/detail/export.hpp>

#include <iosfwd>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

namespace SUBPROC_NAMESPACE {

struct completed_process;

/// What the operating system has no code for.
enum class errc {
  no_child = 1,      ///< moved from, released or never started
  operation_pending, ///< the same operation is already under way
  already_taken,     ///< the capture was moved out before
  output_limit,      ///< a stream gave more than the limit of its capture
  not_stopped,       ///< members of the scope survived a stop
  bad_report,        ///< what the child reported about its start cannot be read
  inactive,          ///< nothing moved for as long as the inactivity_timeout()
};

SUBPROC_API const detail::error_library::error_category& error_category() noexcept;
SUBPROC_API error_code make_error_code(errc e) noexcept;

/// Where a spawn failed. `arguments` is found before anything has started; the others name the
/// system call, in the order in which they are made.
enum class spawn_step {
  arguments,
  pipe,
  open,
  memory,
  fork,
  pass_fds,
  dup2,
  chdir,
  umask,
  signals,
  setsid,
  setpgid,
  close_fds, ///< after pre_exec, where there is a hook
  limits,
  setgroups,
  setgid,
  setuid,
  pre_exec,
  die_with_parent,
  exec,
};

SUBPROC_API const char* to_string(spawn_step step) noexcept;
SUBPROC_API std::ostream& operator<<(std::ostream& os, spawn_step step);

/// A child could not be started: the errno, the step, and what it concerned. Not a
/// subprocess_error, as in Python. Nothing is left behind: no descriptor, no zombie.
class SUBPROC_API spawn_error : public system_error {
public:
  /// `path`: the program as the caller named it (exec), the directory (chdir), the file (open), the
  /// option that was wrong (arguments, limits), else empty. `reason`: what is wrong, where more is
  /// known.
  spawn_error(error_code ec, spawn_step step, std::string path, const std::string& reason = {});

  spawn_step step() const noexcept { return step_; }
  const std::string& path() const noexcept { return texts_->path; }
  const std::string& reason() const noexcept { return texts_->reason; }

private:
  struct texts {
    std::string path;
    std::string reason;
  };

  spawn_step step_;
  std::shared_ptr<const texts> texts_; ///< a copy of an exception may not throw
};

/// A child ran and something about that is an error. Carries the whole result.
class SUBPROC_API subprocess_error : public std::runtime_error {
public:
  subprocess_error(const std::string& what, completed_process result);

  /// Command, status, output and all else that is known.
  const completed_process& result() const noexcept { return *result_; }

private:
  std::shared_ptr<const completed_process> result_;
};

/// The status is not one that the command accepts.
/// "Command 'false' returned non-zero exit status 1." / "Command 'x' died with SIGKILL (9)."
class SUBPROC_API called_process_error : public subprocess_error {
public:
  explicit called_process_error(completed_process result);

protected:
  called_process_error(const std::string& what, completed_process result);
};

/// The time-out passed; the child was killed and reaped, and its output so far is in the result.
/// "Command 'sleep 60' timed out after 0.05 seconds.", or "gave no output for 0.5 seconds." when
/// the result says that it was inactive.
class SUBPROC_API timeout_expired : public subprocess_error {
public:
  timeout_expired(completed_process result, double seconds);

  /// The time-out that the caller gave, in seconds.
  double timeout() const noexcept { return seconds_; }

protected:
  timeout_expired(const std::string& what, completed_process result, double seconds);

private:
  double seconds_;
};

/// An operation on a child that ran failed otherwise: cancelled, errc::output_limit, an error of
/// the operating system. The child was killed and reaped.
class SUBPROC_API operation_error : public subprocess_error {
public:
  operation_error(error_code ec, completed_process result);

  const error_code& code() const noexcept { return code_; }

protected:
  operation_error(const std::string& what, error_code ec, completed_process result);

private:
  error_code code_;
};

} // namespace subproc

template <>
struct std::is_error_code_enum<subproc::errc> : std::true_type {};
