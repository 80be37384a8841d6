#pragma once

// Boost.Process v2 beside subproc: its launchers and initializers behind the launcher interface,
// its children as ours, its environments as ours and back. For the component subproc::boost; no
// other header of the library needs Boost.Process.

#include <subproc/command.hpp>
#include <subproc/environment.hpp>
#include <subproc/launcher.hpp>
#include <subproc/process.hpp>

// With BOOST_PROCESS_USE_STD_FS, Boost.Process 1.81 does not include what it needs.
#include <boost/container_hash/hash.hpp>
#include <boost/optional.hpp>
#include <boost/type_traits/decay.hpp>
#include <boost/type_traits/remove_pointer.hpp>
#include <filesystem>

#include <boost/asio/io_context.hpp>
#include <boost/process/v2/default_launcher.hpp>
#include <boost/process/v2/environment.hpp>
#include <boost/process/v2/posix/vfork_launcher.hpp>
#include <boost/process/v2/process.hpp>
#include <boost/process/v2/stdio.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace SUBPROC_NAMESPACE {

/// The caller's ends of an adopted child's pipes, to which they go over: of Boost's pipes,
/// `unique_handle(pipe.release())`.
struct adopted_pipes {
  unique_handle in;
  unique_handle out;
  unique_handle err;
};

namespace detail {

class foreign_start;

/// The compiled part of a start by a launcher of Boost.Process; see src/boost/boost_start.cpp.
class SUBPROC_API boost_start {
public:
  boost_start(const command& cmd, bool shares_memory);
  ~boost_start();

  const char* program() const noexcept;
  const char** argv() const noexcept;
  void make_room(std::size_t kept);
  int become(const char* const* argv, const char* const* envp, std::span<const int> kept) noexcept;
  launched_child finish(pid_type pid);
  [[noreturn]] void fail(pid_type pid, const boost::system::error_code& ec);
  /// In a catch clause: ends a child; in the caller discards it.
  void undo(pid_type pid) noexcept;
  [[noreturn]] void end_child(int error) noexcept;

private:
  std::unique_ptr<foreign_start> start_;
  long caller_;
};

SUBPROC_API launched_child adopt_boost_child(const command& cmd, pid_type pid,
                                             std::optional<int> wait_status, adopted_pipes& pipes);
SUBPROC_API void require_boost_child(bool is_open);

template <class Launcher>
pid_type boost_pid(const Launcher& launcher) noexcept {
  if constexpr (requires { pid_type(launcher.pid); }) {
    return launcher.pid;
  } else {
    return -1;
  }
}

/// The last initializer of a start: the child becomes the program here, and not by the launcher.
struct boost_last_initializer {
  boost_start& start;
  pid_type& pid;

  template <class Launcher, class Path>
  boost::system::error_code on_setup(Launcher& launcher, const Path&, const char* const*) {
    if constexpr (requires { launcher.fd_whitelist; }) {
      start.make_room(launcher.fd_whitelist.size() + 1); // the launcher's own pipe comes later
    }
    return {};
  }

  template <class Launcher, class Path>
  boost::system::error_code on_exec_setup(Launcher& launcher, const Path&,
                                          const char* const* argv) {
    std::span<const int> kept;
    const char* const* envp = nullptr;
    if constexpr (requires { launcher.fd_whitelist; }) {
      kept = {launcher.fd_whitelist.data(), launcher.fd_whitelist.size()};
    }
    if constexpr (requires { launcher.env; }) {
      envp = launcher.env;
    }
    const int error = start.become(argv, envp, kept);
    errno = error; // which Boost.Process 1.81 sends to the caller, whatever the code is
    return {error, boost::system::system_category()};
  }

  // Boost.Process 1.81 looks for these under one signature and calls them by another.
  template <class Launcher, class... Args>
  void on_error(Launcher& launcher, const Args&...) {
    pid = boost_pid(launcher);
  }
  template <class... Args>
  void on_exec_error(const Args&... args) {
    // The launcher would run what the program has registered for its exit.
    start.end_child(std::get<sizeof...(Args) - 1>(std::tie(args...)).value());
  }
};

} // namespace detail

/// A start that is to be made by a launcher of Boost.Process with initializers; see
/// make_boost_launcher_by().
class boost_launch {
public:
  explicit boost_launch(const command& cmd) noexcept : command_(&cmd) {}

  /// What is started.
  const command& cmd() const noexcept { return *command_; }

  /// Starts it by Boost's default launcher. Throws spawn_error.
  template <class... Inits>
  launched_child operator()(Inits&&... inits) const {
    return with(boost::process::v2::default_process_launcher(), std::forward<Inits>(inits)...);
  }

  /// Starts it by this launcher, an object for one start.
  template <class Launcher, class... Inits>
  launched_child with(Launcher&& launcher, Inits&&... inits) const {
    using type = std::remove_cvref_t<Launcher>;
    detail::boost_start start(*command_,
                              std::is_base_of_v<boost::process::v2::posix::vfork_launcher, type>);
    boost::asio::io_context loop; // this start's alone: no fork is told to a loop that others use
    boost::system::error_code ec;
    pid_type pid = -1;
    try {
      auto started =
          launcher(loop.get_executor(), ec, boost::process::v2::filesystem::path(start.program()),
                   start.argv(), inits..., detail::boost_last_initializer{start, pid});
      if (!ec) {
        pid = started.id();
        started.detach();
      }
    } catch (const boost::system::system_error& error) { // no descriptor for Boost's own watch
      start.undo(detail::boost_pid(launcher));
      ec = error.code();
    } catch (...) {
      start.undo(detail::boost_pid(launcher));
      throw;
    }
    if (ec) {
      start.fail(pid, ec);
    }
    return start.finish(pid);
  }

private:
  const command* command_;
};

namespace detail {

template <class Function>
class boost_function_launcher final : public launcher {
public:
  explicit boost_function_launcher(Function function) : function_(std::move(function)) {}

  launched_child start(const command& cmd) override { return function_(boost_launch(cmd)); }

private:
  Function function_;
};

template <class Launcher, class... Inits>
class boost_launcher final : public launcher {
public:
  explicit boost_launcher(Inits... inits) : inits_(std::move(inits)...) {}

  launched_child start(const command& cmd) override {
    const std::lock_guard lock(mutex_);
    return std::apply(
        [&cmd](auto&... inits) { return boost_launch(cmd).with(Launcher(), inits...); }, inits_);
  }

private:
  std::mutex mutex_;
  std::tuple<Inits...> inits_;
};

} // namespace detail

/// A launcher for command::launcher() that starts children by one of Boost.Process v2.
/**
 * `function` gets a boost_launch for each start and gives back what a call of that returns, so
 * that initializers are made anew each time:
 * `[](const auto& launch) { return launch(process_start_dir("/")); }`.
 *
 * Boost makes the child and runs the initializers; then the child does what the command says and
 * executes the program itself. All options work but die_with_parent(), and with a vfork_launcher
 * user(), group(), extra_groups() and pre_exec(); they are refused by name. What the command does
 * not say is left to the initializers: streams that it inherits, the environment without env(), the
 * directory without cwd(). Descriptors that initializers keep (launcher.fd_whitelist, as bind_fd
 * does) stay open. A failed step is the same spawn_error as with any launcher; an initializer's own
 * error has the step fork, or pre_exec when it was the child's.
 * @par Thread safety the function is called from several threads at once.
 */
template <class Function>
  requires std::is_invocable_r_v<launched_child, Function&, const boost_launch&>
      std::shared_ptr<launcher> make_boost_launcher_by(Function function) {
    return std::make_shared<detail::boost_function_launcher<Function>>(std::move(function));
  }

/// The same with initializers that are kept and used for each start, one start at a time. The
/// Launcher is made anew each time.
/**
 * A process_stdio may not be among them: its copies close one another's descriptors. Make it in a
 * function, by make_boost_launcher_by().
 */
template <class Launcher = boost::process::v2::default_process_launcher, class... Inits>
std::shared_ptr<launcher> make_boost_launcher(Inits... inits) {
  static_assert(!(std::is_same_v<Inits, boost::process::v2::process_stdio> || ...),
                "process_stdio cannot be copied: make it in make_boost_launcher_by()");
  return std::make_shared<detail::boost_launcher<Launcher, Inits...>>(std::move(inits)...);
}

namespace detail {

template <class Process>
class adopting_launcher final : public launcher {
public:
  adopting_launcher(Process& theirs, adopted_pipes& pipes) : theirs_(&theirs), pipes_(&pipes) {}

  launched_child start(const command& cmd) override {
    require_boost_child(theirs_ && theirs_->is_open());
    std::optional<int> known;
    if (!boost::process::v2::process_is_running(theirs_->native_exit_code())) {
      known = theirs_->native_exit_code();
    }
    launched_child adopted = adopt_boost_child(cmd, theirs_->id(), known, *pipes_);
    std::exchange(theirs_, nullptr)->detach();
    return adopted;
  }

  void forget() noexcept { theirs_ = nullptr; }

private:
  Process* theirs_;
  adopted_pipes* pipes_;
};

} // namespace detail

/// Makes a child that Boost.Process started one of ours, with its exit watch, stop, pipes and
/// communicate.
/**
 * `described` is what process::args() and messages say of it; of its options only those count that
 * are about a running child (drop, timeout, process_group and new_session for the scope, which the
 * child must lead, ...). Pipes that are given are its streams. Hooks hear of a start. A status that
 * `theirs` has already seen is kept.
 *
 * Throws spawn_error, and `theirs` and the pipes are as before: there is no child, it has been
 * reaped by somebody else, a hook refuses. Afterwards `theirs` has none.
 * @par Preconditions no operation of `theirs` is pending.
 */
template <class Executor, class BoostExecutor>
  requires detail::executor<Executor> basic_process<Executor>
  adopt(const Executor& executor, boost::process::v2::basic_process<BoostExecutor>&& theirs,
        command described, adopted_pipes&& pipes = {}) {
    using their_type = boost::process::v2::basic_process<BoostExecutor>;
    if (pipes.in) {
      described.in(piped);
    }
    if (pipes.out) {
      described.out(piped);
    }
    if (pipes.err) {
      described.err(piped);
    }
    const auto adopting = std::make_shared<detail::adopting_launcher<their_type>>(theirs, pipes);
    struct end {
      detail::adopting_launcher<their_type>& launcher;
      ~end() { launcher.forget(); }
    } const at_the_end{*adopting};
    return basic_process<Executor>(executor, std::move(described.launcher(adopting)));
  }

template <detail::execution_context Context, class BoostExecutor>
auto adopt(Context& context, boost::process::v2::basic_process<BoostExecutor>&& theirs,
           command described, adopted_pipes&& pipes = {}) {
  return adopt(asio::any_io_executor(context.get_executor()), std::move(theirs),
               std::move(described), std::move(pipes));
}

namespace detail {

template <class Text>
std::string boost_text(const Text& text) {
  if constexpr (requires { text.native_string(); }) {
    return text.native_string();
  } else {
    return std::string(text);
  }
}

} // namespace detail

/// An environment of Boost.Process as one of ours, which has exactly these variables: a range of
/// `NAME=value` (strings, key_value_pair, current()) or of pairs (a map of key and value).
/// A string without `=` is no variable and left out; of several with one name the last counts, as
/// in Python's os.environ.
template <class Range>
environment environment_from_boost(const Range& variables) {
  environment result;
  for (const auto& variable : variables) {
    if constexpr (requires { variable.first, variable.second; }) {
      result.set(detail::boost_text(variable.first), detail::boost_text(variable.second));
    } else {
      const std::string text = detail::boost_text(variable);
      if (const std::size_t equals = text.find('='); equals != std::string::npos) {
        result.set(text.substr(0, equals), text.substr(equals + 1));
      }
    }
  }
  return result;
}

/// The variables that a child would get, for Boost.Process: they outlive a
/// `process_environment(variables)` made of them, and find_executable() takes them. Throws
/// std::bad_alloc.
inline std::vector<boost::process::v2::environment::key_value_pair>
environment_to_boost(const environment& variables) {
  std::vector<boost::process::v2::environment::key_value_pair> result;
  for (const std::string& variable : variables.resolve()) {
    result.emplace_back(variable);
  }
  return result;
}

} // namespace subproc
