#pragma once

#include <subproc/command.hpp>
#include <subproc/detail/export.hpp>
#include <subproc/detail/native_handle.hpp>
#include <subproc/error.hpp>
#include <subproc/exit_status.hpp>
#include <subproc/result.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace SUBPROC_NAMESPACE {

namespace detail {
class time_source;
}

/// What a stop or a drop works on.
enum class scope {
  process, ///< the child alone
  group,   ///< its process group
  session, ///< its session
};

/// The end of a child as its launcher learned it.
struct exit_report {
  exit_status status;
  resource_usage usage;
};

/// An owned descriptor or handle.
class SUBPROC_API unique_handle {
public:
  unique_handle() noexcept = default;
  explicit unique_handle(native_handle_type handle) noexcept : handle_(handle) {}
  unique_handle(unique_handle&& other) noexcept : handle_(other.release()) {}
  unique_handle& operator=(unique_handle&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~unique_handle() { reset(); }

  explicit operator bool() const noexcept { return handle_ != detail::invalid_handle; }
  native_handle_type get() const noexcept { return handle_; }
  native_handle_type release() noexcept { return std::exchange(handle_, detail::invalid_handle); }
  void reset(native_handle_type handle = detail::invalid_handle) noexcept;

private:
  native_handle_type handle_ = detail::invalid_handle;
};

/// A child that was started and is not yet reaped: the little that the rest of the library needs
/// of it. It is not necessarily a local process. Calls are serialised by the owner, except that
/// exit_handle() stays valid and constant from birth to destruction.
class SUBPROC_API child {
public:
  virtual ~child() = default;

  /// The process id, or -1 where there is none.
  virtual pid_type pid() const noexcept = 0;

  /// Becomes readable (is signalled) when the child may have ended, and stays so. On Linux the
  /// pidfd.
  virtual native_handle_type exit_handle() const noexcept = 0;

  /// Whether exit_handle() is a pidfd or process handle, which a user may be given.
  virtual bool exit_handle_is_process() const noexcept = 0;

  /// Reaps without blocking. Nothing while it runs; the same answer ever after it has ended, with
  /// an unknown status if somebody else took it.
  virtual std::optional<exit_report> try_wait() noexcept = 0;

  /// Sends a signal to the child or its scope. Nothing happens, without error, once the target is
  /// gone. 0 sends nothing and checks.
  virtual error_code signal(int number, scope target) noexcept = 0;

  /// The members of the scope that are alive, the child itself among them unless it was reaped.
  virtual bool scope_empty(scope target) noexcept = 0;
  virtual std::vector<int> scope_members(scope target) = 0;

  /// Gives up the child: it will be reaped by somebody else, and exit_handle() with it.
  virtual unique_handle release() noexcept = 0;
};

/// A started child with the caller's ends of its pipes: not blocking, closed on exec.
struct launched_child {
  std::unique_ptr<subproc::child> child;
  unique_handle in;
  unique_handle out;
  unique_handle err;
  launcher_kind launched_by = launcher_kind::custom;
  /// What the library's times for it go by: none is the steady clock. Only testing.hpp has others.
  std::shared_ptr<detail::time_source> clock{};
};

/// Turns a command into a child. Implement it to start children elsewhere or to fake them in tests.
/// Thread safety: start() is called from several threads at once.
class SUBPROC_API launcher {
public:
  virtual ~launcher() = default;

  /// Returns once the program runs; throws spawn_error and leaves nothing behind otherwise.
  virtual launched_child start(const command& cmd) = 0;
};

/// The platform's launcher, which a command without one uses.
SUBPROC_API const std::shared_ptr<launcher>& default_launcher();

/// A launcher of one kind alone, for tests and measurements; `none` is default_launcher().
/// Throws system_error (function_not_supported) for a kind that this platform does not have.
SUBPROC_API std::shared_ptr<launcher> make_launcher(launcher_kind kind);

} // namespace subproc
