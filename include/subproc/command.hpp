#pragma once

#include <subproc/detail/argument.hpp>
#include <subproc/detail/export.hpp>
#include <subproc/detail/option_group.hpp>
#include <subproc/detail/shared_value.hpp>
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
/// Thread safety: a value. It can be copied, compared, and started as often as one likes. Copies
/// share what they hold until one of them is changed, so a copy is light; what a getter has given
/// lasts until the command is changed or goes.
class SUBPROC_API command {
  using groups = detail::option_groups<limits, windows>;

public:
  /// An empty argv, which cannot be started.
  command() = default;

  /// argv, one argument each: strings, string views, literals or std::filesystem::path.
  template <detail::argument... Args>
    requires(sizeof...(Args) > 0)
  command(const Args&... args) {
    std::vector<std::string>& words = options_.change().args;
    words.reserve(sizeof...(Args));
    (words.push_back(detail::to_argument(args)), ...);
  }

  /// argv from a range of strings.
  template <detail::argument_range Range>
    requires(!std::same_as<Range, command>)
  command(const Range& args) {
    std::vector<std::string>& words = options_.change().args;
    for (const auto& arg : args) {
      words.push_back(detail::to_argument(arg));
    }
  }

  const std::vector<std::string>& args() const noexcept { return options_->args; }

  command& arg(std::string value) & {
    return options_.change().args.push_back(std::move(value)), *this;
  }
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
  const std::optional<std::string>& executable() const noexcept { return options_->executable; }

  /// The child's working directory; a relative program is looked up from there.
  template <detail::argument Path>
  command& cwd(const Path& path) & {
    return set(&options::cwd, detail::to_argument(path));
  }
  template <detail::argument Path>
  command cwd(const Path& path) && {
    return std::move(cwd(path));
  }
  const std::optional<std::string>& cwd() const noexcept { return options_->cwd; }

  /// Replaces the whole environment; never called, the child inherits. `.env({})` is empty.
  command& env(environment value) & { return set(&options::env, std::move(value)); }
  command env(environment value) && { return std::move(env(std::move(value))); }
  const std::optional<environment>& env() const noexcept { return options_->env; }

  /// stdin, stdout and stderr: `inherit` (default), `null`, `piped`, `fd(n)`, `file(path, mode)`;
  /// stdin also `memory(bytes)`, stdout and stderr also `tee(…)`, stderr also `merge`.
  command& in(input_redirect value) & { return set(&options::in, std::move(value)); }
  command in(input_redirect value) && { return std::move(in(std::move(value))); }
  const std::optional<input_redirect>& in() const noexcept { return options_->in; }

  command& out(output_redirect value) & { return set(&options::out, std::move(value)); }
  command out(output_redirect value) && { return std::move(out(std::move(value))); }
  const std::optional<output_redirect>& out() const noexcept { return options_->out; }

  command& err(error_redirect value) & { return set(&options::err, std::move(value)); }
  command err(error_redirect value) && { return std::move(err(std::move(value))); }
  const std::optional<error_redirect>& err() const noexcept { return options_->err; }

  /// Bytes for stdin, which becomes a pipe; an empty string is an empty input. Not together with
  /// in().
  command& input(std::string bytes) & { return set(&options::input, std::move(bytes)); }
  command input(std::string bytes) && { return std::move(input(std::move(bytes))); }
  const std::optional<std::string>& input() const noexcept { return options_->input; }

  /// stdout and stderr are piped and captured. Not together with out() or err().
  command& capture_output(bool on = true) & { return set(&options::capture_output, on); }
  command capture_output(bool on = true) && { return std::move(capture_output(on)); }
  bool captures_output() const noexcept { return options_->capture_output; }

  /// Further descriptors for the child, under the same numbers; needs close_fds. Repeated ones
  /// count once, and 0, 1 and 2 are left out: they are for in(), out() and err() to say.
  command& pass_fds(const std::vector<int>& fds) &;
  command pass_fds(const std::vector<int>& fds) && { return std::move(pass_fds(fds)); }
  /// Further descriptors under other numbers (above 2).
  command& map_fds(std::vector<fd_mapping> fds) & {
    return set(&options::pass_fds, std::move(fds));
  }
  command map_fds(std::vector<fd_mapping> fds) && { return std::move(map_fds(std::move(fds))); }
  const std::vector<fd_mapping>& pass_fds() const noexcept { return options_->pass_fds; }

  /// The child finds these bytes, ready to be read to their end, at its descriptor `child` (above
  /// 2): the way to hand over a secret, which everybody could see in an argument, and every program
  /// that the child starts in a variable. They are shown in no message and not by to_string(); they
  /// are in this command and its copies, also the one in a result. Needs close_fds. Each call adds.
  command& pass_bytes(int child, std::string bytes, bytes_form form = bytes_form::file) & {
    return options_.change().pass_bytes.push_back({child, std::move(bytes), form}), *this;
  }
  command pass_bytes(int child, std::string bytes, bytes_form form = bytes_form::file) && {
    return std::move(pass_bytes(child, std::move(bytes), form));
  }
  const std::vector<passed_bytes>& pass_bytes() const noexcept { return options_->pass_bytes; }

  /// Closes every descriptor above 2 in the child but the passed ones (default true).
  command& close_fds(bool on) & { return set(&options::close_fds, on); }
  command close_fds(bool on) && { return std::move(close_fds(on)); }
  bool close_fds() const noexcept { return options_->close_fds; }

  /// setsid(2): the child leads a session and a process group of its own.
  command& new_session(bool on = true) & { return set(&options::new_session, on); }
  command new_session(bool on = true) && { return std::move(new_session(on)); }
  bool has_new_session() const noexcept { return options_->new_session; }

  /// setpgid(2): 0 for a group of its own, which then is the scope of a stop; else a group to join.
  command& process_group(int id) & { return set(&options::process_group, id); }
  command process_group(int id) && { return std::move(process_group(id)); }
  const std::optional<int>& process_group() const noexcept { return options_->process_group; }

  /// umask(2) of the child, 0 to 0777.
  command& umask(int mask) & { return set(&options::umask, mask); }
  command umask(int mask) && { return std::move(umask(mask)); }
  const std::optional<int>& umask() const noexcept { return options_->umask; }

  /// Real, effective and saved user id. As root without group(): the user's primary group and no
  /// supplementary ones, as systemd's `User=`; refused where there is no such entry.
  command& user(account id) & { return set(&options::user, std::move(id)); }
  command user(account id) && { return std::move(user(std::move(id))); }
  const std::optional<account>& user() const noexcept { return options_->user; }

  command& group(account id) & { return set(&options::group, std::move(id)); }
  command group(account id) && { return std::move(group(std::move(id))); }
  const std::optional<account>& group() const noexcept { return options_->group; }

  /// setgroups(2): an empty list drops all; never called keeps them (but see user()).
  command& extra_groups(std::vector<account> ids) & {
    return set(&options::extra_groups, std::move(ids));
  }
  command extra_groups(std::vector<account> ids) && {
    return std::move(extra_groups(std::move(ids)));
  }
  const std::optional<std::vector<account>>& extra_groups() const noexcept {
    return options_->extra_groups;
  }

  command& signals(signal_setup how) & { return set(&options::signals, how); }
  command signals(signal_setup how) && { return std::move(signals(how)); }
  signal_setup signals() const noexcept { return options_->signals; }

  /// Capacity of each new pipe in bytes (Linux); the kernel rounds it up.
  command& pipe_size(long long bytes) & { return set(&options::pipe_size, bytes); }
  command pipe_size(long long bytes) && { return std::move(pipe_size(bytes)); }
  const std::optional<long long>& pipe_size() const noexcept { return options_->pipe_size; }

  command& pre_exec(pre_exec_hook hook) & { return set(&options::pre_exec, hook); }
  command pre_exec(pre_exec_hook hook) && { return std::move(pre_exec(hook)); }
  const std::optional<pre_exec_hook>& pre_exec() const noexcept { return options_->pre_exec; }

  /// A group of options from a header of its own, `limits` or `windows`; one a kind.
  template <detail::group_of<groups> Group>
  command& with(Group group) & {
    std::get<detail::option_group<Group>>(options_.change().further) =
        detail::option_group<Group>(std::move(group));
    return *this;
  }
  template <detail::group_of<groups> Group>
  command with(Group group) && {
    return std::move(with(std::move(group)));
  }
  /// The group of that kind (`cmd.get<limits>()`), null when none was given.
  template <detail::group_of<groups> Group>
  const Group* get() const noexcept {
    return std::get<detail::option_group<Group>>(options_->further).get();
  }

  /// A program that the kernel cannot execute (ENOEXEC: a script without `#!`) is given to
  /// `/bin/sh`, as execvp(3) and shells do. Default: it is an error.
  command& shell_fallback(bool on = true) & { return set(&options::shell_fallback, on); }
  command shell_fallback(bool on = true) && { return std::move(shell_fallback(on)); }
  bool falls_back_to_shell() const noexcept { return options_->shell_fallback; }

  /// A program without a slash is not looked for in the relative and empty entries of PATH, which
  /// mean folders below the working directory, where others may write.
  command& absolute_path_only(bool on = true) & { return set(&options::absolute_path_only, on); }
  command absolute_path_only(bool on = true) && { return std::move(absolute_path_only(on)); }
  bool uses_absolute_path_only() const noexcept { return options_->absolute_path_only; }

  /// The kernel kills the child (SIGKILL) when this process ends, however it ends (Linux). The
  /// start is made by a thread of the library's that lives as long as the process.
  ///
  /// Not covered: the child's own children; a program that gains rights by being executed
  /// (set-user-ID, file capabilities), for which the kernel takes it back; and, for a caller that
  /// has left its pid namespace by unshare(2), its death in the moment of the start.
  command& die_with_parent(bool on = true) & { return set(&options::die_with_parent, on); }
  command die_with_parent(bool on = true) && { return std::move(die_with_parent(on)); }
  bool dies_with_parent() const noexcept { return options_->die_with_parent; }

  command& drop(drop_policy policy) & { return set(&options::drop, policy); }
  command drop(drop_policy policy) && { return std::move(drop(policy)); }
  drop_policy drop() const noexcept { return options_->drop; }

  /// Who turns this into a child; null (the default) is the platform's own.
  command& launcher(std::shared_ptr<subproc::launcher> who) & {
    return set(&options::launcher, std::move(who));
  }
  command launcher(std::shared_ptr<subproc::launcher> who) && {
    return std::move(launcher(std::move(who)));
  }
  const std::shared_ptr<subproc::launcher>& launcher() const noexcept { return options_->launcher; }

  /// The run family stops the child and reports timeout_expired; for `process` it is the default
  /// time-out of communicate. Counted from the spawn (run family) or the call (communicate).
  command& timeout(duration limit) & { return set(&options::timeout, limit); }
  command timeout(duration limit) && { return std::move(timeout(limit)); }
  const std::optional<duration>& timeout() const noexcept { return options_->timeout; }

  /// The same as a point in time; the earlier of the two counts.
  command& deadline(steady_clock::time_point when) & { return set(&options::deadline, when); }
  command deadline(steady_clock::time_point when) && { return std::move(deadline(when)); }
  const std::optional<steady_clock::time_point>& deadline() const noexcept {
    return options_->deadline;
  }

  /// Ends communicate with errc::inactive, and the run family with timeout_expired, when nothing
  /// has moved for so long: no byte on a captured stream, none that the child took of its input. It
  /// counts from the call (run family: the spawn) and stands still while a tee's sink holds the
  /// child back. A stream that has ended is silent too. Something has to be captured.
  command& inactivity_timeout(duration limit) & { return set(&options::inactivity_timeout, limit); }
  command inactivity_timeout(duration limit) && { return std::move(inactivity_timeout(limit)); }
  const std::optional<duration>& inactivity_timeout() const noexcept {
    return options_->inactivity_timeout;
  }

  /// How the scope is stopped: by the run family at its time-out, its cancellation and over its
  /// limit, and by `process::stop()` without arguments. What the child writes meanwhile is in the
  /// result. Never called, the run family kills at once, as Python's. Who survives the last step is
  /// left to drop(). Refused: an empty list, a negative grace, what is no signal.
  command& stop_steps(std::vector<stop_step> steps) & {
    return set(&options::stop_steps, std::move(steps));
  }
  command stop_steps(std::vector<stop_step> steps) && {
    return std::move(stop_steps(std::move(steps)));
  }
  const std::optional<std::vector<stop_step>>& stop_steps() const noexcept {
    return options_->stop_steps;
  }

  /// The asynchronous run family, cancelled, sends a signal to the scope and goes on until that has
  /// ended: total is SIGINT, partial SIGTERM, terminal SIGKILL (the strongest of several counts). A
  /// second, stronger cancellation escalates, and so does the time-out.
  command& cancel_signals(bool on = true) & { return set(&options::cancel_signals, on); }
  command cancel_signals(bool on = true) && { return std::move(cancel_signals(on)); }
  bool has_cancel_signals() const noexcept { return options_->cancel_signals; }

  /// run() reports a status that is not ok as called_process_error.
  command& check(bool on = true) & { return set(&options::check, on); }
  command check(bool on = true) && { return std::move(check(on)); }
  bool checked() const noexcept { return options_->check; }

  /// Exit codes that count as success (default: 0 alone).
  command& ok_codes(std::vector<long long> codes) & {
    return set(&options::ok_codes, std::move(codes));
  }
  command ok_codes(std::vector<long long> codes) && {
    return std::move(ok_codes(std::move(codes)));
  }
  const std::vector<long long>& ok_codes() const noexcept { return options_->ok_codes; }

  /// How long after the child's exit a capture waits for end-of-file while somebody else holds the
  /// pipe (Go's WaitDelay). Never called: without bound, as in Python.
  command& drain_timeout(duration limit) & { return set(&options::drain_timeout, limit); }
  command drain_timeout(duration limit) && { return std::move(drain_timeout(limit)); }
  const std::optional<duration>& drain_timeout() const noexcept { return options_->drain_timeout; }

  /// Bounds what is kept of each captured stream.
  command& limit(std::size_t bytes, overflow policy = overflow::error) & {
    return set(&options::limit, capture_limit{bytes, policy});
  }
  command limit(std::size_t bytes, overflow policy = overflow::error) && {
    return std::move(limit(bytes, policy));
  }
  const capture_limit& limit() const noexcept { return options_->limit; }

  /// The result says in `pieces` in which order the bytes of the captured streams were seen, and
  /// when. Not together with a limit() that keeps a tail.
  ///
  /// Between two pipes the kernel keeps no order: what lay in both is seen in the order in which we
  /// read. `merge` is exact, and tells the streams no longer apart.
  command& ordered_output(bool on = true) & { return set(&options::ordered_output, on); }
  command ordered_output(bool on = true) && { return std::move(ordered_output(on)); }
  bool has_ordered_output() const noexcept { return options_->ordered_output; }

  /// Writes a line for people to the caller's stderr at the start and at the end, as trace_line()
  /// makes it; a line that does not fit there at once is lost. All arguments are shown, secrets
  /// among them.
  command& verbose(bool on = true) & { return set(&options::verbose, on); }
  command verbose(bool on = true) && { return std::move(verbose(on)); }
  bool is_verbose() const noexcept { return options_->verbose; }

  /// Whether shell() made this command.
  bool is_shell() const noexcept { return options_->shell; }

  /// Whether this status counts as success by ok_codes(). An unknown one never does.
  bool accepts(const class exit_status& status) const noexcept;

  friend bool operator==(const command&, const command&) = default;

  template <detail::argument... Args>
  friend command shell(std::string_view script, const Args&... args);

private:
  struct options {
    std::vector<std::string> args;
    std::optional<std::string> executable;
    std::optional<std::string> cwd;
    std::optional<environment> env;
    std::optional<input_redirect> in;
    std::optional<output_redirect> out;
    std::optional<error_redirect> err;
    std::optional<std::string> input;
    std::vector<fd_mapping> pass_fds;
    std::vector<passed_bytes> pass_bytes;
    std::optional<int> process_group;
    std::optional<int> umask;
    std::optional<account> user;
    std::optional<account> group;
    std::optional<std::vector<account>> extra_groups;
    std::optional<long long> pipe_size;
    std::optional<pre_exec_hook> pre_exec;
    groups further;
    std::shared_ptr<subproc::launcher> launcher;
    std::optional<duration> timeout;
    std::optional<steady_clock::time_point> deadline;
    std::optional<duration> drain_timeout;
    std::optional<duration> inactivity_timeout;
    std::optional<std::vector<stop_step>> stop_steps;
    std::vector<long long> ok_codes{0};
    capture_limit limit;
    signal_setup signals = signal_setup::standard;
    drop_policy drop = drop_policy::kill;
    bool capture_output = false;
    bool close_fds = true;
    bool new_session = false;
    bool shell_fallback = false;
    bool absolute_path_only = false;
    bool die_with_parent = false;
    bool check = false;
    bool shell = false;
    bool ordered_output = false;
    bool cancel_signals = false;
    bool verbose = false;

    friend bool operator==(const options&, const options&) = default;
  };

  template <class Member, class Value>
  command& set(Member options::*member, Value&& value) {
    options_.change().*member = std::forward<Value>(value);
    return *this;
  }

  detail::shared_value<options> options_;
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
  cmd.options_.change().shell = true;
  return cmd;
}

/// The argv, quoted for a shell.
SUBPROC_API std::string to_string(const command& cmd);
SUBPROC_API std::ostream& operator<<(std::ostream& os, const command& cmd);

} // namespace subproc
