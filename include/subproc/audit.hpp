#pragma once

#include <subproc/command.hpp>
#include <subproc/detail/export.hpp>
#include <subproc/detail/native_handle.hpp>
#include <subproc/exit_status.hpp>
#include <subproc/result.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace SUBPROC_NAMESPACE {

/// What an audit event tells.
enum class audit_kind {
  hook_added,    ///< another hook is about to be added; a hook that throws keeps it out, silently
  spawn,         ///< a command is about to be started; a hook that throws prevents it
  started,       ///< it runs
  failed,        ///< it could not be started, or its start was cancelled while it was queued
  exited,        ///< it has ended and was reaped, whoever did that
  dropped_alive, ///< its process object went away while it ran (Python's ResourceWarning)
};

/// Python's names where Python raises the event ("subprocess.Popen" for a spawn), else "subproc."
/// and the kind.
SUBPROC_API const char* to_string(audit_kind kind) noexcept;

/// Something that happens to a child. References are valid during the call of the hook only; what
/// an event does not know has its default value.
struct audit_event {
  audit_kind kind;
  /// What is started; an empty command for hook_added.
  const command& cmd;
  /// The same number in all events of one spawn, never used again in this process. 0 for
  /// hook_added.
  std::uint64_t id = 0;
  /// From `started` on.
  pid_type pid = -1;
  launcher_kind launched_by = launcher_kind::none;
  std::chrono::system_clock::time_point start_time{};
  /// For `failed`: a spawn_error, or what a launcher of the user's threw (null when that is no
  /// std::exception).
  const std::exception* error = nullptr;
  /// For `exited`. The status may be unknown, as everywhere.
  exit_status status{};
  resource_usage usage{};
  std::chrono::system_clock::time_point end_time{};
  /// From spawn to exit, by the monotonic clock.
  std::chrono::nanoseconds elapsed{};

  /// The four arguments of Python's event, in its order: the program as it was named, the final
  /// argv (a shell's included), directory and environment (none: the caller's).
  SUBPROC_API std::string_view executable() const noexcept;
  const std::vector<std::string>& args() const noexcept { return cmd.args(); }
  const std::optional<std::string>& cwd() const noexcept { return cmd.cwd(); }
  const std::optional<environment>& env() const noexcept { return cmd.env(); }
};

using audit_hook = std::function<void(const audit_event&)>;

/// Adds a hook that sees every spawn of this process, as Python's `sys.addaudithook`.
/**
 * Hooks are called in the order of adding and cannot be removed; they live until the process ends.
 * Adding one raises hook_added for those that are there; when one of them throws, the new one is
 * silently not added.
 *
 * `spawn` comes on the thread that asked for it (also for async_spawn, async_run and the pool,
 * where that is the thread of the source), after all checks of arguments, which raise nothing when
 * they fail, and before anything is started. The first hook that throws prevents the spawn: later
 * hooks do not see it, the exception reaches the caller (or the handler) as it is, and nothing is
 * left behind. Every `spawn` that no hook refused is followed by one `started` or `failed`, and
 * every `started` by one `exited`, unless the child was given away by release().
 *
 * The later events come on whichever thread saw what they tell: the caller's, the loop's, a
 * launcher thread or the reaper thread, which a slow hook holds up. Exceptions from hooks are
 * ignored there. `exited` may come before or after the completion of an asynchronous wait; the
 * blocking call that reaps tells it before it returns. A child that was started when there was no
 * hook raises no events; a hook added since sees the later events of one that was started with one.
 *
 * No lock is held while a hook runs. It may use the process object, but not destroy it while a
 * call on it is under way; it may start children, which raise events of their own: a hook that does
 * so for every spawn has to know its own. A hook that waits for what only its thread can do (the
 * reaper's: that a dropped child is reaped) waits for ever.
 *
 * Arguments and environment may hold secrets: hooks see them all.
 * @par Thread safety safe, also while other threads spawn. A hook is called on several threads at
 * once.
 */
SUBPROC_API void add_audit_hook(audit_hook hook);

/// An event as a line for people, without an end of line: `$ git log -1` for its spawn,
/// `$ git log -1: exited with 0 after 0.12 s` for its exit. A hook that writes each of them
/// somewhere traces the whole program; command::verbose() does so for one command.
/**
 * Words are quoted for a shell. Control characters, those that change the direction of text, and
 * bytes that are no UTF-8 are escaped (`$'\033'`), so that no argument can write to a terminal what
 * it likes. The whole argv is shown, secrets in it too.
 */
SUBPROC_API std::string trace_line(const audit_event& event);

} // namespace subproc
