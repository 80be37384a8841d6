#pragma once

#include <subproc/detail/argument.hpp>
#include <subproc/detail/export.hpp>
#include <subproc/detail/option_group.hpp>
#include <subproc/duration.hpp>
#include <subproc/environment.hpp>
#include <subproc/limits.hpp>
#include <subproc/redirect.hpp>
#include <subproc/stop.hpp>
#include <subproc/windows.hpp>

#include <chrono>
#include <concepts>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace SUBPROC_NAMESPACE {

class launcher;

/// What happens to a child whose process object goes away while it runs.
enum class drop_policy {
  kill,      ///< SIGKILL to the scope of the command; reaped in the background
  terminate, ///< SIGTERM to the scope; reaped in the background whenever it ends
  detach,    ///< nothing; it lives on and is reaped when it ends
};

/// The signals of the child when its program starts. In each case no handler of the caller runs
/// there.
enum class signal_setup {
  standard,  ///< empty mask; SIGPIPE, SIGXFSZ, SIGCHLD at default; other ignored ones stay so
  reset_all, ///< empty mask and every signal at default (62 more system calls)
  keep,      ///< the caller's mask, and every ignored signal stays ignored
};

/// What a capture does with bytes beyond its limit.
enum class overflow {
  error,     ///< errc::output_limit; the run family stops the child
  head,      ///< keep the first bytes, read on and drop the rest
  tail,      ///< keep the last bytes
  head_tail, ///< keep the first and the last half
};

/// A bound for each captured stream.
struct capture_limit {
  std::size_t bytes = static_cast<std::size_t>(-1);
  overflow policy = overflow::error;

  friend bool operator==(const capture_limit&, const capture_limit&) = default;
};

/// One descriptor for the child: the caller's `parent` becomes `child` there.
struct fd_mapping {
  int child;
  int parent;

  friend bool operator==(const fd_mapping&, const fd_mapping&) = default;
};

/// How bytes are handed to a child.
enum class bytes_form {
  file, ///< a file in memory: any size, can be read again and from any place
  pipe, ///< a pipe, which gives each byte once; up to 65536 of them
};

/// Bytes that the child finds at one of its descriptors.
struct passed_bytes {
  int child;
  std::string bytes;
  bytes_form form = bytes_form::file;

  friend bool operator==(const passed_bytes&, const passed_bytes&) = default;
};

/// A function that runs in the child just before its program (POSIX; takes the slow fork path).
/// It may only do what is async-signal-safe (signal-safety(7)); a non-zero return is the errno
/// that the caller gets as a spawn_error of step pre_exec. It may set `environ`, without env().
struct pre_exec_hook {
  int (*function)(void* argument);
  void* argument = nullptr;

  friend bool operator==(const pre_exec_hook&, const pre_exec_hook&) = default;
};

/// A user or a group, by number or by name.
using account = std::variant<long long, std::string>;

/// What to start and how: the one value behind `process`, `run` and the pool.
///
/// Made from its argv, element by element (`command("git", "log")`, also `{"git", "log"}`), or from
/// a range of strings. Options are setters that can be chained and read back; their names and
/// meanings are those of Python's `subprocess.Popen` and `run` unless they say otherwise. Nothing
/// is checked here: what is wrong is reported when the command is started, before anything runs.
/// So is an option that the platform does not have: on Windows pre_exec, user, group, extra_groups,
/// umask, pass_fds, pass_bytes, new_session, signals, shell_fallback, limits; elsewhere `windows`.
/// Thread safety: a value. It can be copied, compared, and started as often as one likes.
class SUBPROC_API command {
  using groups = detail::option_groups<limits, windows>;

public:
  /// An empty argv, which cannot be started.
  command() = default;

  /// argv, one argument each: strings, string views, literals or std::filesystem::path.
  template <detail::argument... Args>
    requires(sizeof...(Args) > 0)
  command(const Args&... args) {
    args_.reserve(sizeof...(Args));
    (args_.push_back(detail::to_argument(args)), ...);
  }

  /// argv from a range of strings.
  template <detail::argument_range Range>
    requires(!std::same_as<Range, command>)
  command(const Range& args) {
    for (const auto& arg : args) {
      args_.push_back(detail::to_argument(arg));
    }
  }

  const std::vector<std::string>& args() const noexcept { return args_; }

  command& arg(std::string value) & { return args_.push_back(std::move(value)), *this; }
  command arg(std::string value) && { return std::move(arg(std::move(value))); }

  /// The program really executed; argv[0] stays what it is. Looked up in the child's PATH when it
  /// has no slash. Of a shell() it replaces /bin/sh in both roles: it is argv[0] as well.
  ///
  /// On Windows a name without a backslash, slash or drive is looked for in the absolute folders of
  /// PATH alone, never in the working directory, with each ending of PATHEXT when it has none.
  command& executable(std::string path) &;
  command executable(std::string path) && { return std::move(executable(std::move(path))); }
  template <detail::path_like Path>
  command& executable(const Path& path) & {
    return executable(detail::to_argument(path));
  }
  template <detail::path_like Path>
  command executable(const Path& path) && {
    return std::move(executable(detail::to_argument(path)));
  }
  const std::optional<std::string>& executable() const noexcept { return executable_; }

  /// The child's working directory; a relative program is looked up from there.
  template <detail::argument Path>
  command& cwd(const Path& path) & {
    return set(cwd_, detail::to_argument(path));
  }
  template <detail::argument Path>
  command cwd(const Path& path) && {
    return std::move(cwd(path));
  }
  const std::optional<std::string>& cwd() const noexcept { return cwd_; }

  /// Replaces the whole environment; never called, the child inherits. `.env({})` is empty.
  command& env(environment value) & { return set(env_, std::move(value)); }
  command env(environment value) && { return std::move(env(std::move(value))); }
  const std::optional<environment>& env() const noexcept { return env_; }

  /// stdin, stdout and stderr: `inherit` (default), `null`, `piped`, `fd(n)`, `file(path, mode)`;
  /// stdin also `memory(bytes)`, stdout and stderr also `tee(…)`, stderr also `merge`.
  command& in(input_redirect value) & { return set(in_, std::move(value)); }
  command in(input_redirect value) && { return std::move(in(std::move(value))); }
  const std::optional<input_redirect>& in() const noexcept { return in_; }

  command& out(output_redirect value) & { return set(out_, std::move(value)); }
  command out(output_redirect value) && { return std::move(out(std::move(value))); }
  const std::optional<output_redirect>& out() const noexcept { return out_; }

  command& err(error_redirect value) & { return set(err_, std::move(value)); }
  command err(error_redirect value) && { return std::move(err(std::move(value))); }
  const std::optional<error_redirect>& err() const noexcept { return err_; }

  /// Bytes for stdin, which becomes a pipe; an empty string is an empty input. Not together with
  /// in().
  command& input(std::string bytes) & { return set(input_, std::move(bytes)); }
  command input(std::string bytes) && { return std::move(input(std::move(bytes))); }
  const std::optional<std::string>& input() const noexcept { return input_; }

  /// stdout and stderr are piped and captured. Not together with out() or err().
  command& capture_output(bool on = true) & { return set(capture_output_, on); }
  command capture_output(bool on = true) && { return std::move(capture_output(on)); }
  bool captures_output() const noexcept { return capture_output_; }

  /// Further descriptors for the child, under the same numbers; needs close_fds. Repeated ones
  /// count once, and 0, 1 and 2 are left out: they are for in(), out() and err() to say.
  command& pass_fds(const std::vector<int>& fds) &;
  command pass_fds(const std::vector<int>& fds) && { return std::move(pass_fds(fds)); }
  /// Further descriptors under other numbers (above 2).
  command& map_fds(std::vector<fd_mapping> fds) & { return set(pass_fds_, std::move(fds)); }
  command map_fds(std::vector<fd_mapping> fds) && { return std::move(map_fds(std::move(fds))); }
  const std::vector<fd_mapping>& pass_fds() const noexcept { return pass_fds_; }

  /// The child finds these bytes, ready to be read to their end, at its descriptor `child` (above
  /// 2): the way to hand over a secret, which everybody could see in an argument, and every program
  /// that the child starts in a variable. They are shown in no message and not by to_string(); they
  /// are in this command and its copies, also the one in a result. Needs close_fds. Each call adds.
  command& pass_bytes(int child, std::string bytes, bytes_form form = bytes_form::file) & {
    return pass_bytes_.push_back({child, std::move(bytes), form}), *this;
  }
  command pass_bytes(int child, std::string bytes, bytes_form form = bytes_form::file) && {
    return std::move(pass_bytes(child, std::move(bytes), form));
  }
  const std::vector<passed_bytes>& pass_bytes() const noexcept { return pass_bytes_; }

  /// Closes every descriptor above 2 in the child but the passed ones (default true).
  command& close_fds(bool on) & { return set(close_fds_, on); }
  command close_fds(bool on) && { return std::move(close_fds(on)); }
  bool close_fds() const noexcept { return close_fds_; }

  /// setsid(2): the child leads a session and a process group of its own.
  command& new_session(bool on = true) & { return set(new_session_, on); }
  command new_session(bool on = true) && { return std::move(new_session(on)); }
  bool has_new_session() const noexcept { return new_session_; }

  /// setpgid(2): 0 for a group of its own, which then is the scope of a stop; else a group to join.
  command& process_group(int id) & { return set(process_group_, id); }
  command process_group(int id) && { return std::move(process_group(id)); }
  const std::optional<int>& process_group() const noexcept { return process_group_; }

  /// umask(2) of the child, 0 to 0777.
  command& umask(int mask) & { return set(umask_, mask); }
  command umask(int mask) && { return std::move(umask(mask)); }
  const std::optional<int>& umask() const noexcept { return umask_; }

  /// Real, effective and saved user id. As root without group(): the user's primary group and no
  /// supplementary ones, as systemd's `User=`; refused where there is no such entry.
  command& user(account id) & { return set(user_, std::move(id)); }
  command user(account id) && { return std::move(user(std::move(id))); }
  const std::optional<account>& user() const noexcept { return user_; }

  command& group(account id) & { return set(group_, std::move(id)); }
  command group(account id) && { return std::move(group(std::move(id))); }
  const std::optional<account>& group() const noexcept { return group_; }

  /// setgroups(2): an empty list drops all; never called keeps them (but see user()).
  command& extra_groups(std::vector<account> ids) & { return set(extra_groups_, std::move(ids)); }
  command extra_groups(std::vector<account> ids) && {
    return std::move(extra_groups(std::move(ids)));
  }
  const std::optional<std::vector<account>>& extra_groups() const noexcept { return extra_groups_; }

  command& signals(signal_setup how) & { return set(signals_, how); }
  command signals(signal_setup how) && { return std::move(signals(how)); }
  signal_setup signals() const noexcept { return signals_; }

  /// Capacity of each new pipe in bytes (Linux); the kernel rounds it up.
  command& pipe_size(long long bytes) & { return set(pipe_size_, bytes); }
  command pipe_size(long long bytes) && { return std::move(pipe_size(bytes)); }
  const std::optional<long long>& pipe_size() const noexcept { return pipe_size_; }

  command& pre_exec(pre_exec_hook hook) & { return set(pre_exec_, hook); }
  command pre_exec(pre_exec_hook hook) && { return std::move(pre_exec(hook)); }
  const std::optional<pre_exec_hook>& pre_exec() const noexcept { return pre_exec_; }

  /// A group of options from a header of its own, `limits` or `windows`; one a kind.
  template <detail::group_of<groups> Group>
  command& with(Group group) & {
    return set(std::get<detail::option_group<Group>>(groups_),
               detail::option_group<Group>(std::move(group)));
  }
  template <detail::group_of<groups> Group>
  command with(Group group) && {
    return std::move(with(std::move(group)));
  }
  /// The group of that kind (`cmd.get<limits>()`), null when none was given.
  template <detail::group_of<groups> Group>
  const Group* get() const noexcept {
    return std::get<detail::option_group<Group>>(groups_).get();
  }

  /// A program that the kernel cannot execute (ENOEXEC: a script without `#!`) is given to
  /// `/bin/sh`, as execvp(3) and shells do. Default: it is an error.
  command& shell_fallback(bool on = true) & { return set(shell_fallback_, on); }
  command shell_fallback(bool on = true) && { return std::move(shell_fallback(on)); }
  bool falls_back_to_shell() const noexcept { return shell_fallback_; }

  /// A program without a slash is not looked for in the relative and empty entries of PATH, which
  /// mean folders below the working directory, where others may write.
  command& absolute_path_only(bool on = true) & { return set(absolute_path_only_, on); }
  command absolute_path_only(bool on = true) && { return std::move(absolute_path_only(on)); }
  bool uses_absolute_path_only() const noexcept { return absolute_path_only_; }

  /// The kernel kills the child (SIGKILL) when this process ends, however it ends (Linux). The
  /// start is made by a thread of the library's that lives as long as the process.
  ///
  /// Not covered: the child's own children; a program that gains rights by being executed
  /// (set-user-ID, file capabilities), for which the kernel takes it back; and, for a caller that
  /// has left its pid namespace by unshare(2), its death in the moment of the start.
  command& die_with_parent(bool on = true) & { return set(die_with_parent_, on); }
  command die_with_parent(bool on = true) && { return std::move(die_with_parent(on)); }
  bool dies_with_parent() const noexcept { return die_with_parent_; }

  command& drop(drop_policy policy) & { return set(drop_, policy); }
  command drop(drop_policy policy) && { return std::move(drop(policy)); }
  drop_policy drop() const noexcept { return drop_; }

  /// Who turns this into a child; null (the default) is the platform's own.
  command& launcher(std::shared_ptr<subproc::launcher> who) & {
    return set(launcher_, std::move(who));
  }
  command launcher(std::shared_ptr<subproc::launcher> who) && {
    return std::move(launcher(std::move(who)));
  }
  const std::shared_ptr<subproc::launcher>& launcher() const noexcept { return launcher_; }

  /// The run family stops the child and reports timeout_expired; for `process` it is the default
  /// time-out of communicate. Counted from the spawn (run family) or the call (communicate).
  command& timeout(duration limit) & { return set(timeout_, limit); }
  command timeout(duration limit) && { return std::move(timeout(limit)); }
  const std::optional<duration>& timeout() const noexcept { return timeout_; }

  /// The same as a point in time; the earlier of the two counts.
  command& deadline(steady_clock::time_point when) & { return set(deadline_, when); }
  command deadline(steady_clock::time_point when) && { return std::move(deadline(when)); }
  const std::optional<steady_clock::time_point>& deadline() const noexcept { return deadline_; }

  /// Ends communicate with errc::inactive, and the run family with timeout_expired, when nothing
  /// has moved for so long: no byte on a captured stream, none that the child took of its input. It
  /// counts from the call (run family: the spawn) and stands still while a tee's sink holds the
  /// child back. A stream that has ended is silent too. Something has to be captured.
  command& inactivity_timeout(duration limit) & { return set(inactivity_timeout_, limit); }
  command inactivity_timeout(duration limit) && { return std::move(inactivity_timeout(limit)); }
  const std::optional<duration>& inactivity_timeout() const noexcept { return inactivity_timeout_; }

  /// How the scope is stopped: by the run family at its time-out, its cancellation and over its
  /// limit, and by `process::stop()` without arguments. What the child writes meanwhile is in the
  /// result. Never called, the run family kills at once, as Python's. Who survives the last step is
  /// left to drop(). Refused: an empty list, a negative grace, what is no signal.
  command& stop_steps(std::vector<stop_step> steps) & { return set(stop_steps_, std::move(steps)); }
  command stop_steps(std::vector<stop_step> steps) && {
    return std::move(stop_steps(std::move(steps)));
  }
  const std::optional<std::vector<stop_step>>& stop_steps() const noexcept { return stop_steps_; }

  /// The asynchronous run family, cancelled, sends a signal to the scope and goes on until that has
  /// ended: total is SIGINT, partial SIGTERM, terminal SIGKILL (the strongest of several counts). A
  /// second, stronger cancellation escalates, and so does the time-out.
  command& cancel_signals(bool on = true) & { return set(cancel_signals_, on); }
  command cancel_signals(bool on = true) && { return std::move(cancel_signals(on)); }
  bool has_cancel_signals() const noexcept { return cancel_signals_; }

  /// run() reports a status that is not ok as called_process_error.
  command& check(bool on = true) & { return set(check_, on); }
  command check(bool on = true) && { return std::move(check(on)); }
  bool checked() const noexcept { return check_; }

  /// Exit codes that count as success (default: 0 alone).
  command& ok_codes(std::vector<long long> codes) & { return set(ok_codes_, std::move(codes)); }
  command ok_codes(std::vector<long long> codes) && {
    return std::move(ok_codes(std::move(codes)));
  }
  const std::vector<long long>& ok_codes() const noexcept { return ok_codes_; }

  /// How long after the child's exit a capture waits for end-of-file while somebody else holds the
  /// pipe (Go's WaitDelay). Never called: without bound, as in Python.
  command& drain_timeout(duration limit) & { return set(drain_timeout_, limit); }
  command drain_timeout(duration limit) && { return std::move(drain_timeout(limit)); }
  const std::optional<duration>& drain_timeout() const noexcept { return drain_timeout_; }

  /// Bounds what is kept of each captured stream.
  command& limit(std::size_t bytes, overflow policy = overflow::error) & {
    return set(limit_, capture_limit{bytes, policy});
  }
  command limit(std::size_t bytes, overflow policy = overflow::error) && {
    return std::move(limit(bytes, policy));
  }
  const capture_limit& limit() const noexcept { return limit_; }

  /// The result says in `pieces` in which order the bytes of the captured streams were seen, and
  /// when. Not together with a limit() that keeps a tail.
  ///
  /// Between two pipes the kernel keeps no order: what lay in both is seen in the order in which we
  /// read. `merge` is exact, and tells the streams no longer apart.
  command& ordered_output(bool on = true) & { return set(ordered_output_, on); }
  command ordered_output(bool on = true) && { return std::move(ordered_output(on)); }
  bool has_ordered_output() const noexcept { return ordered_output_; }

  /// Writes a line for people to the caller's stderr at the start and at the end, as trace_line()
  /// makes it; a line that does not fit there at once is lost. All arguments are shown, secrets
  /// among them.
  command& verbose(bool on = true) & { return set(verbose_, on); }
  command verbose(bool on = true) && { return std::move(verbose(on)); }
  bool is_verbose() const noexcept { return verbose_; }

  /// Whether shell() made this command.
  bool is_shell() const noexcept { return shell_; }

  /// Whether this status counts as success by ok_codes(). An unknown one never does.
  bool accepts(const class exit_status& status) const noexcept;

  friend bool operator==(const command&, const command&) = default;

  template <detail::argument... Args>
  friend command shell(std::string_view script, const Args&... args);

private:
  template <class Member, class Value>
  command& set(Member& member, Value&& value) {
    member = std::forward<Value>(value);
    return *this;
  }

  std::vector<std::string> args_;
  std::optional<std::string> executable_;
  std::optional<std::string> cwd_;
  std::optional<environment> env_;
  std::optional<input_redirect> in_;
  std::optional<output_redirect> out_;
  std::optional<error_redirect> err_;
  std::optional<std::string> input_;
  std::vector<fd_mapping> pass_fds_;
  std::vector<passed_bytes> pass_bytes_;
  std::optional<int> process_group_;
  std::optional<int> umask_;
  std::optional<account> user_;
  std::optional<account> group_;
  std::optional<std::vector<account>> extra_groups_;
  std::optional<long long> pipe_size_;
  std::optional<pre_exec_hook> pre_exec_;
  groups groups_;
  std::shared_ptr<subproc::launcher> launcher_;
  std::optional<duration> timeout_;
  std::optional<steady_clock::time_point> deadline_;
  std::optional<duration> drain_timeout_;
  std::optional<duration> inactivity_timeout_;
  std::optional<std::vector<stop_step>> stop_steps_;
  std::vector<long long> ok_codes_{0};
  capture_limit limit_;
  signal_setup signals_ = signal_setup::standard;
  drop_policy drop_ = drop_policy::kill;
  bool capture_output_ = false;
  bool close_fds_ = true;
  bool new_session_ = false;
  bool shell_fallback_ = false;
  bool absolute_path_only_ = false;
  bool die_with_parent_ = false;
  bool check_ = false;
  bool shell_ = false;
  bool ordered_output_ = false;
  bool cancel_signals_ = false;
  bool verbose_ = false;
};

namespace detail {

struct shell_call {
  const char* program;
  const char* option;
};
SUBPROC_API shell_call platform_shell() noexcept;

} // namespace detail

/// The one door to a shell: `/bin/sh -c script`. Further arguments become `$0`, `$1`, …
///
/// On Windows it is `cmd.exe /c "script"` in a hidden window, which takes no further arguments.
/// That is the program that the caller's %ComSpec% names in full, else
/// %SystemRoot%\System32\cmd.exe; when neither says it the start fails.
template <detail::argument... Args>
command shell(std::string_view script, const Args&... args) {
  const detail::shell_call call = detail::platform_shell();
  command cmd(call.program, call.option, script, args...);
  cmd.shell_ = true;
  return cmd;
}

/// The argv, quoted for a shell.
SUBPROC_API std::string to_string(const command& cmd);
SUBPROC_API std::ostream& operator<<(std::ostream& os, const command& cmd);

} // namespace subproc
