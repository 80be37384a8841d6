#pragma once

// For tests of programs that use the library: children that are no processes and do what a script
// says. Not part of subproc.hpp.

#include <subproc/command.hpp>
#include <subproc/detail/export.hpp>
#include <subproc/duration.hpp>
#include <subproc/error.hpp>
#include <subproc/exit_status.hpp>
#include <subproc/launcher.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {
class fake_clock;
class fake_run;
} // namespace subproc::detail

namespace SUBPROC_NAMESPACE::testing {

/// A time that passes only when it is told to, for the children of a fake_launcher: the delays of
/// their scripts and all that the library times of them. That is time-outs of runs, pipelines,
/// communicates and waits, inactivity, the drain after an exit, the grace of stops, `elapsed`, the
/// times of pieces of output. From its first such child on a pool goes by the clock of that one:
/// its retry delays, rates, windows and timeout_factor.
///
/// By the system's clocks go start_time and end_time, and what becomes of a child that is dropped.
///
/// A deadline is a time of the steady clock: this one begins there when it is made.
/// Thread safety: safe. Copies are one clock.
class SUBPROC_API manual_clock {
public:
  manual_clock();

  /// Lets children go on whose delay is over now, and what waits for a time-out. It calls nothing
  /// itself: handlers come on their executors, in the order in which they were due. What a child
  /// does then it does on a thread of its own: advance in steps where the next time-out depends on
  /// it.
  void advance(duration by);
  /// Since it was made.
  duration now() const;

  /// How many wait for it, children in a delay and the library's times: the event that a test
  /// advances after. A child in a delay whose run has a time-out is two.
  std::size_t waiting() const;

private:
  friend class fake_launcher;
  std::shared_ptr<detail::fake_clock> clock_;
};

/// What a fake child does, one after the other, before it ends; it ends with 0 if nothing else is
/// said. Writing to a pipe that nobody reads ends it by SIGPIPE, as any program. On Windows, which
/// has no signals, that and each signal that it does not ignore end it with code 1. Of a stream
/// that its command does not pipe or give as `fd(n)`, what it writes goes nowhere and what it reads
/// is at its end.
/// Thread safety: a value.
class SUBPROC_API script {
public:
  /// Writes to stdout, to stderr.
  script& out(std::string bytes) & { return add(write{std::move(bytes), false}); }
  script out(std::string bytes) && { return std::move(out(std::move(bytes))); }
  script& err(std::string bytes) & { return add(write{std::move(bytes), true}); }
  script err(std::string bytes) && { return std::move(err(std::move(bytes))); }

  /// Reads stdin to its end, which the call then has as its `input`.
  script& read() & { return add(read_all{}); }
  script read() && { return std::move(read()); }

  /// The same, and writes it to stdout.
  script& echo() & { return add(echo_all{}); }
  script echo() && { return std::move(echo()); }

  /// Waits, by the launcher's manual clock, else by the steady one.
  script& delay(duration time) & { return add(wait{time}); }
  script delay(duration time) && { return std::move(delay(time)); }

  /// Goes on until a signal ends it.
  script& forever() & { return add(wait{std::nullopt}); }
  script forever() && { return std::move(forever()); }

  /// How it ends when it has done all that.
  script& exit(long long code) & { return ends(exit_status::from_code(code)); }
  script exit(long long code) && { return std::move(exit(code)); }
  script& ends(exit_status how) & {
    end_ = how;
    return *this;
  }
  script ends(exit_status how) && { return std::move(ends(how)); }

  /// This signal does not end it (SIGKILL does).
  script& ignores(int signal) & {
    ignored_.push_back(signal);
    return *this;
  }
  script ignores(int signal) && { return std::move(ignores(signal)); }

  /// It cannot be started: the error is a spawn_error.
  script& cannot_start(std::errc why, spawn_step at = spawn_step::exec) & {
    failure_ = {why, at};
    return *this;
  }
  script cannot_start(std::errc why, spawn_step at = spawn_step::exec) && {
    return std::move(cannot_start(why, at));
  }

private:
  friend class fake_launcher;
  friend class detail::fake_run;

  struct write {
    std::string bytes;
    bool to_err;
  };
  struct read_all {};
  struct echo_all {};
  struct wait {
    std::optional<duration> time; ///< none: for ever
  };
  using step = std::variant<write, read_all, echo_all, wait>;

  script& add(step what) {
    steps_.push_back(std::move(what));
    return *this;
  }

  std::vector<step> steps_;
  std::vector<int> ignored_;
  exit_status end_ = exit_status::from_code(0);
  std::optional<std::pair<std::errc, spawn_step>> failure_;
};

/// A start that was asked for, and how it went on.
struct fake_call {
  /// Without its launcher.
  command cmd;
  /// What read() and echo() have read so far.
  std::string input;
  /// The signals it was sent, in order; not 0.
  std::vector<int> signals;
  /// Once it has ended.
  std::optional<exit_status> status;
};

/// Starts children that are no processes: each command gets the script of the last `on()` that fits
/// it. One that none fits cannot be started (no_such_file_or_directory).
///
/// Give it to commands (`command::launcher`), or to all of the program by use_launcher. A child has
/// a number above all process ids, so that no process can be meant by it.
/// Thread safety: safe.
class SUBPROC_API fake_launcher : public launcher {
public:
  fake_launcher();
  explicit fake_launcher(const manual_clock& clock);
  ~fake_launcher() override;

  /// For commands whose arguments begin with these.
  fake_launcher& on(const command& beginning, script what);
  /// For commands that a function picks; it may be called on several threads.
  fake_launcher& on(std::function<bool(const command&)> picks, script what);

  launched_child start(const command& cmd) override;

  /// All starts so far, in order, those that failed too.
  std::vector<fake_call> calls() const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

/// While it lives every command without a launcher of its own is started by this one: for tests of
/// a program that does not know of launchers. One at a time (std::errc::operation_in_progress).
class SUBPROC_API use_launcher {
public:
  explicit use_launcher(std::shared_ptr<launcher> who);
  use_launcher(const use_launcher&) = delete;
  use_launcher& operator=(const use_launcher&) = delete;
  ~use_launcher();
};

} // namespace subproc::testing
