// Makes the system calls of a spawn fail, one at a time: each call that the operation makes, in the
// caller, in a thread of the library and in the child, at each of its occurrences, with each error
// that it may have. What must come of it is in `rules`; a call without a rule is a failure too.
//
//   faults [--short] [SCENARIO...]     one line an injection, fields parted by tabs
//
// Each injection has a process of its own: it warms up, loads a seccomp filter that hands the calls
// to this program (user notification), does one operation, and looks at what is left. So an
// injection hits the operation alone and occurrences are counted exactly, per role. After the exec
// the program is not touched.

#include <subproc/subproc.hpp>

#define DOCTEST_CONFIG_IMPLEMENT // support.hpp wants its strings
#include "support.hpp"

#include <asio/io_context.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <new>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

// ---- The operations ----

struct scenario {
  const char* name;
  std::function<std::string()> operation; ///< what came of it
  std::vector<long> without{};            ///< calls that are refused all the time
  bool cold = false;                      ///< without a warm-up: what is done once is seen too
};

std::string error_name(const error_code& ec) {
  const char* const name = ec.category() == detail::system_category() ||
                                   ec.category() == asio::error::get_system_category()
                               ? ::strerrorname_np(ec.value())
                               : nullptr;
  return name ? name : ec.message();
}

std::string outcome_of(const std::function<std::string()>& operation) {
  std::ostringstream text;
  try {
    return operation();
  } catch (const spawn_error& error) {
    text << "spawn_error " << error.step() << ' ' << error_name(error.code());
  } catch (const operation_error& error) {
    text << "operation_error " << error_name(error.code());
  } catch (const subprocess_error& error) {
    text << error.what();
  } catch (const system_error& error) {
    text << "system_error " << error_name(error.code());
  } catch (const std::exception& error) {
    text << "exception " << error.what();
  }
  return text.str();
}

std::string verdict(const completed_process& done, launcher_kind usual,
                    const std::string& output = {}) {
  std::ostringstream text;
  if (done.status.unknown()) {
    return "status unknown";
  }
  if (!done.status.success()) {
    text << done.status;
  } else if (done.out != output) {
    text << "wrong output: " << done.out;
  } else if (done.launched_by != usual) {
    text << "ok by " << to_string(done.launched_by);
  } else {
    text << "ok";
  }
  return text.str();
}

std::string run_one(const command& cmd, launcher_kind usual = launcher_kind::clone3,
                    const std::string& output = {}) {
  return verdict(run(cmd), usual, output);
}

command nothing() { return command(helper("nothing")); }

// Reads its input to the end and says how long it was.
command counts() { return command(helper("steps"), "count").input("12345").capture_output(); }

std::string on_loop(const command& cmd, const std::string& output = {}) {
  asio::io_context context;
  std::string result = "not completed";
  async_run(context, cmd, [&](std::exception_ptr error, const completed_process& done) {
    result = outcome_of([&] {
      if (error) {
        std::rethrow_exception(error);
      }
      return verdict(done, launcher_kind::clone3, output);
    });
  });
  context.run();
  return result;
}

std::string in_pool() {
  asio::io_context context;
  pool jobs(context, {.concurrency = 1, .job_executors = {context.get_executor()}});
  std::string result = "not completed";
  jobs.async_submit(counts(), [&](std::exception_ptr error, const completed_process& done) {
    result = outcome_of([&] {
      if (error) {
        std::rethrow_exception(error);
      }
      return verdict(done, launcher_kind::clone3, "5");
    });
  });
  context.run();
  return result;
}

std::string in_pipeline() {
  const pipeline_result done =
      run(command(helper("steps"), "out:5") | command(helper("steps"), "count").out(piped));
  return verdict(done.stages.back(), launcher_kind::clone3, "5");
}

std::string spawned_on_loop() {
  asio::io_context context;
  std::string result = "not completed";
  async_spawn(context, nothing(), [&](std::exception_ptr error, process child) {
    if (error) {
      result = outcome_of([&]() -> std::string { std::rethrow_exception(error); });
      return;
    }
    auto kept = std::make_shared<process>(std::move(child));
    kept->async_wait([&result, kept](error_code ec, exit_status status) {
      result = ec                 ? "wait: " + error_name(ec)
               : status.unknown() ? "status unknown"
               : status.success() ? "ok"
                                  : "bad status";
    });
  });
  context.run();
  return result;
}

std::string dropped() {
  asio::io_context context;
  { const process child(context, command(helper("steps"), "byte:0").in(piped)); }
  return "ok";
}

std::string stopped() {
  asio::io_context context;
  process child(context, command(helper("forever")).process_group(0));
  std::string result = "not completed";
  child.async_stop(30s, [&](error_code ec, const stop_result& done) {
    result = ec ? "stop: " + error_name(ec) : done.forced ? "forced" : "ok";
  });
  context.run();
  return result;
}

// Two descriptors that are passed under each other's numbers, and one that does not block.
std::string passed() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
    return "no pipe";
  }
  const unique_handle read_end(ends[0]);
  unique_handle write_end(ends[1]);
  const unique_handle other(::fcntl(read_end.get(), F_DUPFD_CLOEXEC, 30));
  write_end.reset();
  if (!other) {
    return "no pipe";
  }
  return run_one(nothing()
                     .in(fd(read_end.get()))
                     .map_fds({{read_end.get(), other.get()}, {other.get(), read_end.get()}}));
}

std::string high() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) {
    return "no pipe";
  }
  const unique_handle read_end(ends[0]);
  const unique_handle write_end(ends[1]);
  const unique_handle moved(::fcntl(write_end.get(), F_DUPFD_CLOEXEC, 200));
  return moved ? run_one(nothing().out(fd(moved.get()))) : "no pipe";
}

command by(command cmd, launcher_kind kind) { return cmd.launcher(make_launcher(kind)); }

const std::vector<scenario>& scenarios() {
  using kind = launcher_kind;
  static const std::vector<scenario> all{
      {"plain", [] { return run_one(nothing()); }},
      {"first", [] { return run_one(nothing()); }, {}, true},
      {"pipes", [] { return run_one(counts(), kind::clone3, "5"); }},
      {"path",
       [] {
         return run_one(command("true").env({{"PATH", "/nowhere:/bin"}}));
       }},
      {"files",
       [] { return run_one(nothing().in(null).out(file("/dev/null")).err(file("/dev/null"))); }},
      {"identity", [] { return run_one(nothing().cwd("/").new_session().umask(022)); }},
      {"group", [] { return run_one(nothing().process_group(0)); }},
      {"passed", passed},
      {"high", high},
      {"keep-fds", [] { return run_one(nothing().close_fds(false)); }},
      {"reset-all", [] { return run_one(nothing().signals(signal_setup::reset_all)); }},
      {"user",
       [] { return run_one(nothing().user(65534).group(65534).extra_groups({}), kind::fork); }},
      {"fork", [] { return run_one(by(counts(), kind::fork), kind::fork, "5"); }},
      {"vfork", [] { return run_one(by(counts(), kind::vfork), kind::vfork, "5"); }},
      {"first-vfork", [] { return run_one(by(nothing(), kind::vfork), kind::vfork); }, {}, true},
      {"no-pidfd",
       [] { return run_one(counts(), kind::vfork, "5"); },
       {SYS_clone3, SYS_pidfd_open}},
      {"no-close-range",
       [] {
         const unique_handle careless(::dup(0)); // without close-on-exec
         const completed_process done = run(command(helper("descriptors")).out(piped));
         const bool clean = std::count(done.out.begin(), done.out.end(), '\n') == 3;
         return clean ? verdict(done, kind::clone3, done.out) : "leak into the child";
       },
       {SYS_close_range}},
      {"missing", [] { return run_one(command("/no/such").capture_output()); }},
      {"missing-fork", [] { return run_one(by(command("/no/such"), kind::fork)); }},
      {"async-spawn", spawned_on_loop},
      {"async-run", [] { return on_loop(counts(), "5"); }},
      {"pool", in_pool},
      {"pipeline", in_pipeline},
      {"dropped", dropped},
      {"stopped", stopped},
  };
  return all;
}

// ---- What may fail, and what must come of it ----

enum class who { caller, thread, child };
const char* const who_names[] = {"caller", "thread", "child"};

struct fault {
  who where = who::caller;
  std::string call;
  int occurrence = 0; ///< from 1; 0: none
  int error = 0;
};

/// `outcome` "E" at the end stands for the injected error. The first rule that fits counts.
struct rule {
  std::string_view where; ///< letters of "caller", "thread", "child"
  std::string_view call;
  std::vector<int> errors;
  std::vector<std::string> outcomes;
  std::string_view scenarios = {}; ///< empty: all; else a list of names
  int occurrence = 0;
};

const std::string ok = "ok";

const std::vector<rule>& rules() {
  static const std::vector<rule> all{
      // A pool that is refused for lack of room tries again.
      {"c", "pipe2", {EMFILE, ENFILE, ENOMEM}, {ok}, "pool"},
      {"c", "clone3", {EAGAIN, ENOMEM}, {ok}, "pool"},
      {"h", "dup3", {EMFILE}, {ok}, "pool"},
      {"h", "execve", {EMFILE, ENFILE, ENOMEM}, {ok}, "pool"},
      {"c", "epoll_create1", {EMFILE, ENFILE, ENOMEM}, {"system_error E"}, "pool"}, // its timer
      // The caller's preparations.
      {"ct", "fcntl(F_GETFD)", {EBADF}, {"spawn_error arguments E"}},
      {"ct", "fcntl(F_GETFL)", {EBADF}, {ok}},
      {"ct", "fcntl(F_SETFL)", {EINVAL, EBADF}, {ok}, "passed"}, // then the child has the original
      {"ct", "fcntl(F_SETFL)", {EINVAL, EBADF}, {"spawn_error pipe E"}},
      {"ct", "fcntl(F_SETPIPE_SZ)", {EPERM, EBUSY, ENOMEM}, {ok}},
      {"c", "fcntl(F_DUPFD_CLOEXEC)", {EMFILE}, {"no pipe"}, "passed high"},
      {"ct", "fstat", {ENOMEM}, {ok}},
      {"c", "pipe2", {EMFILE, ENFILE, ENOMEM}, {"no pipe"}, "passed high", 1},
      {"ct", "pipe2", {EMFILE, ENFILE, ENOMEM}, {"spawn_error pipe E"}},
      // /proc/self/fd/N, numbers that are only held, and glibc's look for the limit of groups.
      {"c",
       "openat",
       {EMFILE, ENFILE, ENOMEM, ENOENT, EACCES, ENOSPC, EROFS, EISDIR, ELOOP},
       {ok},
       "passed high user"},
      {"c", "read", {EIO}, {ok}, "user", 1},
      {"c", "openat", {EINTR}, {ok}},
      {"c",
       "openat",
       {EMFILE, ENFILE, ENOMEM, ENOENT, EACCES, ENOSPC, EROFS, EISDIR, ELOOP},
       {"spawn_error open E"}},
      {"ct", "dup3", {EBUSY, EMFILE, EINTR}, {ok}},
      {"ct", "rt_sigprocmask", {EINVAL}, {ok}},
      // The start.
      {"ct", "clone3", {ENOSYS, EPERM, EINVAL}, {"ok by vfork"}},
      {"ct", "clone3", {EAGAIN, ENOMEM, ENOSPC, EUSERS}, {"spawn_error fork E"}},
      {"c",
       "vfork",
       {EAGAIN, ENOMEM, ENOSYS, EPERM},
       {ok},
       "first-vfork",
       1}, // the probe: errors by a pipe then
      {"c", "vfork", {EAGAIN, ENOMEM, ENOSYS, EPERM}, {"spawn_error fork E"}},
      {"c", "clone", {EAGAIN, ENOMEM, ENOSYS, EPERM}, {"spawn_error fork E"}},
      {"c", "pidfd_open", {ENOSYS, EPERM, EINVAL}, {ok}},
      {"c", "pidfd_open", {EMFILE, ENFILE, ENOMEM}, {"spawn_error fork E"}},
      // The wait, and what is moved meanwhile.
      {"c", "poll", {EINTR}, {ok}},
      {"c", "poll", {ENOMEM}, {"operation_error E"}},
      {"ct", "waitid", {EINTR}, {ok}},
      {"ct", "waitid", {ECHILD}, {"status unknown", ok}},
      {"ct", "close", {EIO, EINTR}, {ok}},
      {"c", "read", {EINTR}, {ok}},
      {"t", "read", {EAGAIN}, {ok}},
      {"c", "read", {EAGAIN}, {ok}, "pipes vfork no-pidfd async-run"},
      {"c", "read", {EIO}, {"operation_error E", "spawn_error fork E"}},
      {"ct", "write", {EINTR, EAGAIN}, {ok}},
      // The loop.
      {"ct", "epoll_create1", {ENOSYS, EINVAL}, {ok}},
      {"ct", "epoll_create1", {EMFILE, ENFILE, ENOMEM}, {"spawn_error pipe E"}},
      {"ct", "timerfd_create", {EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM}, {ok}},
      {"ct", "eventfd2", {EINVAL, ENOSYS, EMFILE, ENFILE, ENODEV, ENOMEM}, {ok}},
      {"ct", "timerfd_settime", {EINVAL}, {ok}},
      {"ct", "epoll_wait", {EINTR}, {ok}},
      {"ct", "epoll_ctl(ADD)", {ENOMEM, ENOSPC}, {ok, "operation_error E"}},
      // Asio looks at none of these; the kernel gives them no error that fits.
      {"ct", "epoll_ctl(of Asio)", {}, {}},
      {"ct", "epoll_ctl(MOD)", {}, {}},
      {"ct", "epoll_ctl(DEL)", {}, {}},
      {"ct", "write(eventfd)", {}, {}},
      {"ct", "ioctl", {}, {}},
      // Signals.
      // A group of others; a filter that is younger than the first stop.
      {"c", "pidfd_send_signal", {EPERM, ENOSYS}, {ok, "stop: E"}, "stopped"},
      {"ct", "pidfd_send_signal", {ENOSYS, EPERM}, {ok}},
      {"ct", "kill", {ESRCH}, {ok}},
      // The SIGCHLD watch, which looks by itself then.
      {"ct", "rt_sigaction", {EINVAL}, {ok}},
      // The child.
      {"h", "close_range", {ENOSYS, EPERM, EINVAL, EMFILE, ENOMEM}, {ok}},
      {"h", "fcntl(F_DUPFD_CLOEXEC)", {EMFILE}, {"spawn_error dup2 E", "spawn_error open E"}},
      {"h", "fcntl(F_DUPFD_CLOEXEC)", {EINVAL}, {ok}},
      {"h", "fcntl(F_SETFD)", {EBADF}, {"spawn_error dup2 E"}},
      {"h", "dup3", {EBUSY, EMFILE, EINTR, EBADF}, {"spawn_error dup2 E"}},
      {"h", "openat", {EMFILE, ENFILE, ENOMEM, EACCES, ENOENT, ENXIO}, {ok}, "no-close-range"},
      {"h", "openat", {EMFILE, ENFILE, ENOMEM, EACCES, ENOENT, ENXIO}, {"spawn_error open E"}},
      {"h", "lseek", {EINVAL}, {ok}},
      {"h", "getdents64", {EINVAL, ENOENT, ENOMEM}, {ok}},
      {"h", "close", {EIO, EINTR}, {ok}},
      {"h",
       "chdir",
       {ENOENT, EACCES, ENOTDIR, EIO, ELOOP, ENOMEM, ENAMETOOLONG},
       {"spawn_error chdir E"}},
      {"h", "umask", {ENOSYS, EPERM}, {"spawn_error umask E"}},
      {"h", "rt_sigaction", {EINVAL}, {ok}},
      {"h", "rt_sigprocmask", {EINVAL}, {"spawn_error signals E"}},
      {"h", "setsid", {EPERM}, {"spawn_error setsid E"}},
      {"h", "setpgid", {EPERM, EACCES, ESRCH, EINVAL}, {"spawn_error setpgid E"}},
      {"h", "setgroups", {EPERM, EINVAL, ENOMEM}, {"spawn_error setgroups E"}},
      {"h", "setresgid", {EPERM, EINVAL, EAGAIN}, {"spawn_error setgid E"}},
      {"h", "setresuid", {EPERM, EINVAL, EAGAIN, ENOMEM}, {"spawn_error setuid E"}},
      {"h", "execve", {ETXTBSY}, {ok}},
      {"h",
       "execve",
       {ENOENT, EACCES, ENOTDIR, ENOEXEC, E2BIG, ENOMEM, ELOOP, EPERM, EIO, EINVAL, EISDIR, EMFILE,
        ENFILE, ELIBBAD},
       {ok},
       "path",
       1}, // on to the next folder
      {"h",
       "execve",
       {ENOENT, EACCES, ENOTDIR, ENOEXEC, E2BIG, ENOMEM, ELOOP, EPERM, EIO, EINVAL, EISDIR, EMFILE,
        ENFILE, ELIBBAD},
       {"spawn_error exec E"}},
      {"h", "write", {EINTR}, {ok}},
  };
  return all;
}

// What a scenario gives when all goes well.
std::string usual_outcome(const scenario& s) {
  return std::string_view(s.name).starts_with("missing") ? "spawn_error exec ENOENT" : ok;
}

bool names(std::string_view list, std::string_view name) {
  std::istringstream words{std::string(list)};
  for (std::string word; words >> word;) {
    if (word == name) {
      return true;
    }
  }
  return false;
}

const rule* find_rule(const scenario& s, const fault& f) {
  for (const rule& each : rules()) {
    const char letter = f.where == who::caller ? 'c' : f.where == who::thread ? 't' : 'h';
    if (each.where.find(letter) != std::string_view::npos && each.call == f.call &&
        (each.scenarios.empty() || names(each.scenarios, s.name)) &&
        (each.occurrence == 0 || each.occurrence == f.occurrence) &&
        (f.error == 0 ||
         std::find(each.errors.begin(), each.errors.end(), f.error) != each.errors.end())) {
      return &each;
    }
  }
  return nullptr;
}

bool is_allowed(const scenario& s, const fault& f, const std::string& outcome) {
  const rule* const found = find_rule(s, f);
  if (!found) {
    return false;
  }
  for (std::string each : found->outcomes) {
    if (each.ends_with(" E")) {
      each.replace(each.size() - 1, 1, ::strerrorname_np(f.error));
    } else if (each.starts_with(ok) && outcome == usual_outcome(s)) {
      return true; // what launched it is not in every outcome
    }
    if (outcome == each) {
      return true;
    }
  }
  return false;
}

// ---- The calls, and the two sides of an injection ----

struct call {
  long number;
  const char* name;
};

#define SUBPROC_CALL(name)                                                                         \
  { SYS_##name, #name }
const call calls[] = {
    SUBPROC_CALL(fcntl),          SUBPROC_CALL(pipe2),
    SUBPROC_CALL(rt_sigprocmask), SUBPROC_CALL(clone3),
    SUBPROC_CALL(clone),          SUBPROC_CALL(pidfd_open),
    SUBPROC_CALL(close_range),    SUBPROC_CALL(rt_sigaction),
    SUBPROC_CALL(execve),         SUBPROC_CALL(waitid),
    SUBPROC_CALL(close),          SUBPROC_CALL(epoll_ctl),
    SUBPROC_CALL(epoll_create1),  SUBPROC_CALL(eventfd2),
    SUBPROC_CALL(timerfd_create), SUBPROC_CALL(timerfd_settime),
    SUBPROC_CALL(dup3),           SUBPROC_CALL(openat),
    SUBPROC_CALL(chdir),          SUBPROC_CALL(setsid),
    SUBPROC_CALL(setpgid),        SUBPROC_CALL(setgroups),
    SUBPROC_CALL(setresgid),      SUBPROC_CALL(setresuid),
    SUBPROC_CALL(umask),          SUBPROC_CALL(read),
    SUBPROC_CALL(write),          SUBPROC_CALL(fstat),
    SUBPROC_CALL(ioctl),          SUBPROC_CALL(lseek),
    SUBPROC_CALL(getdents64),     SUBPROC_CALL(pidfd_send_signal),
    SUBPROC_CALL(kill),
#ifdef SYS_poll
    SUBPROC_CALL(poll),           SUBPROC_CALL(vfork),
    SUBPROC_CALL(epoll_wait),
#endif
};
#undef SUBPROC_CALL

std::string label(pid_t pid, const seccomp_data& data) {
  const auto is_a = [&](std::uint64_t descriptor, std::string_view what) {
    std::error_code gone;
    return std::filesystem::read_symlink(
               "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(descriptor), gone)
               .string()
               .find(what) != std::string::npos;
  };
  if (data.nr == SYS_epoll_ctl) {
    return data.args[1] == EPOLL_CTL_MOD   ? "epoll_ctl(MOD)"
           : data.args[1] == EPOLL_CTL_DEL ? "epoll_ctl(DEL)"
           : is_a(data.args[2], "[eventfd]") || is_a(data.args[2], "[timerfd]")
               ? "epoll_ctl(of Asio)"
               : "epoll_ctl(ADD)";
  }
  if (data.nr == SYS_write && is_a(data.args[0], "[eventfd]")) {
    return "write(eventfd)";
  }
  const auto found = std::find_if(std::begin(calls), std::end(calls),
                                  [&](const call& each) { return each.number == data.nr; });
  if (found == std::end(calls)) {
    return "?";
  }
  if (data.nr != SYS_fcntl) {
    return found->name;
  }
  static const std::map<std::uint64_t, const char*> commands{
      {F_GETFD, "F_GETFD"},          {F_SETFD, "F_SETFD"}, {F_GETFL, "F_GETFL"},
      {F_SETFL, "F_SETFL"},          {F_DUPFD, "F_DUPFD"}, {F_DUPFD_CLOEXEC, "F_DUPFD_CLOEXEC"},
      {F_SETPIPE_SZ, "F_SETPIPE_SZ"}};
  const auto name = commands.find(data.args[1]);
  return std::string("fcntl(") + (name == commands.end() ? "?" : name->second) + ')';
}

/// What both processes see.
struct shared_state {
  std::atomic<int> listener{-1};
  std::atomic<bool> taken{false};
  std::atomic<bool> active{false};
  std::atomic<bool> over{false}; ///< the caller has its answer; threads may still be at it
  std::atomic<bool> finished{false};
  std::atomic<int> fake_closed{-1}; ///< its number is still taken, its file is not open any more
  std::atomic<bool> wait_failed{false};
  char outcome[512]{};
  char harm[512]{};
};

int load_filter() {
  std::vector<sock_filter> filter{{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)}};
  for (std::size_t i = 0; i < std::size(calls); ++i) {
    filter.push_back({BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned char>(std::size(calls) - i),
                      0, static_cast<unsigned>(calls[i].number)});
  }
  filter.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW});
  filter.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_USER_NOTIF});
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (::geteuid() != 0) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  }
  return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                    SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC |
                                        SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
                                    &program));
}

void copy(char (&to)[512], const std::string& text) {
  std::snprintf(to, sizeof to, "%s", text.c_str());
}

// What an operation must not leave behind; `before` are the descriptors.
std::string harm(const std::vector<int>& before, bool keeps_descriptors) {
  std::ostringstream text;
  const auto none_is_new = [&] {
    const std::vector<int> now = open_descriptors();
    return std::includes(before.begin(), before.end(), now.begin(), now.end());
  };
  if (!eventually([] { return !has_children(); }, 3s)) {
    text << "a child is left; ";
  }
  if (!keeps_descriptors && !eventually(none_is_new, 3s)) {
    text << "descriptors " << open_descriptors().size() << " instead of " << before.size() << "; ";
  }
  const std::string plain = outcome_of([] { return run_one(nothing()); });
  if (!plain.starts_with(ok)) {
    text << "afterwards: " << plain << "; ";
  }
  return text.str();
}

[[noreturn]] void subject(const scenario& s, const fault& f, shared_state& shared) {
  // The first child without a pidfd starts the SIGCHLD watch, whose loop stays.
  const bool keeps_descriptors = s.cold || f.call == "pidfd_open";
  const bool refusing = !s.without.empty();
  const auto load = [&] {
    shared.listener = load_filter();
    while (!shared.taken) {
      ::sched_yield();
    }
  };
  const unique_handle low(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (refusing) {
    load();
  }
  if (!s.cold) {
    dropped(); // the reaper and its loop stay
    outcome_of(s.operation);
    outcome_of(s.operation);
    harm(open_descriptors(), true);
  }
  if (!refusing) {
    load();
  }
  ::close(shared.listener);
  const std::vector<int> before = open_descriptors();
  shared.active = true;
  const std::string outcome = outcome_of(s.operation);
  shared.over = true;
  // What the operation has left to the background is part of it.
  eventually([] { return !has_children(); }, 2s);
  shared.active = false;
  if (shared.fake_closed >= 0) {
    ::close(shared.fake_closed);
  }
  if (shared.wait_failed) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) { // who took the status would have reaped it
    }
  }
  copy(shared.outcome, outcome);
  copy(shared.harm, harm(before, keeps_descriptors));
  shared.finished = true;
  ::_exit(0);
}

class supervisor {
public:
  supervisor(const scenario& s, const fault& f) : scenario_(s), fault_(f) {
    void* const memory = ::mmap(nullptr, sizeof(shared_state), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared_ = new (memory) shared_state;
    pid_ = ::fork();
    if (pid_ == 0) {
      subject(s, f, *shared_);
    }
  }
  ~supervisor() { ::munmap(shared_, sizeof *shared_); }

  void run() {
    const auto give_up = std::chrono::steady_clock::now() + 20s;
    const unique_handle pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    while (shared_->listener < 0) {
      std::this_thread::sleep_for(100us); // the subject has no call left that could tell us
      if (::waitpid(pid_, nullptr, WNOHANG) != 0 || std::chrono::steady_clock::now() > give_up) {
        outcome = "did not start";
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        return;
      }
    }
    unique_handle listener(
        static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), shared_->listener.load(), 0)));
    shared_->taken = true;
    bool hangs = false;
    for (;;) {
      pollfd entries[] = {{listener.get(), POLLIN, 0}, {pidfd.get(), POLLIN, 0}};
      ::poll(entries, 2, 1000);
      if (std::chrono::steady_clock::now() > give_up) {
        hangs = true;
        ::kill(pid_, SIGKILL);
        break;
      }
      if ((entries[0].revents & POLLIN) != 0) {
        answer(listener.get());
      } else if (entries[1].revents != 0) {
        break;
      }
    }
    listener.reset();
    int status = 0;
    ::waitpid(pid_, &status, 0);
    outcome = shared_->outcome;
    harm = shared_->harm;
    if (hangs) {
      outcome = outcome.empty() ? "hangs" : outcome + ", then hangs";
    } else if (!shared_->finished) {
      outcome = "crashed: " + std::to_string(status);
    }
  }

  std::string outcome;
  std::string harm;
  std::map<std::pair<who, std::string>, int> counts;
  bool injected = false;

private:
  // The program of a child is of no interest, the child before it is.
  bool is_outside(pid_t pid) const {
    struct stat its {};
    struct stat ours {};
    return ::stat(("/proc/" + std::to_string(pid) + "/exe").c_str(), &its) != 0 ||
           ::stat("/proc/self/exe", &ours) != 0 || its.st_ino != ours.st_ino;
  }

  who role(pid_t pid) const {
    if (pid == pid_) {
      return who::caller;
    }
    const std::string task = "/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid);
    return ::access(task.c_str(), F_OK) == 0 ? who::thread : who::child;
  }

  void answer(int listener) {
    seccomp_notif asked{};
    if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0) {
      return;
    }
    seccomp_notif_resp reply{};
    reply.id = asked.id;
    reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    const auto pid = static_cast<pid_t>(asked.pid);
    const long number = asked.data.nr;
    int* counted = nullptr;
    if (!is_outside(pid)) {
      const auto fail = [&](int error) {
        reply.flags = 0;
        reply.error = -error;
      };
      if (std::find(scenario_.without.begin(), scenario_.without.end(), number) !=
          scenario_.without.end()) {
        fail(ENOSYS);
      } else if (const who where = role(pid);
                 shared_->active && !(where == who::caller && shared_->over)) {
        const std::string name = label(pid, asked.data);
        counted = &counts[{where, name}];
        const int count = ++*counted;
        if (where == fault_.where && name == fault_.call && count == fault_.occurrence) {
          injected = true;
          fail(fault_.error);
          if (number == SYS_close) {
            fake_close(listener, asked, where);
          }
          shared_->wait_failed =
              shared_->wait_failed || (number == SYS_waitid && fault_.error == ECHILD);
        }
      }
    }
    // A signal has interrupted the call: nobody has had this answer, and it will be made again.
    if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply) != 0 && counted) {
      --*counted;
      injected = injected && reply.error == 0;
    }
  }

  // Whatever close says, the kernel has closed the file. Its number gets another one instead.
  void fake_close(int listener, const seccomp_notif& asked, who where) {
    const unique_handle blank(::open("/dev/null", O_RDWR | O_CLOEXEC));
    seccomp_notif_addfd instead{};
    instead.id = asked.id;
    instead.flags = SECCOMP_ADDFD_FLAG_SETFD;
    instead.srcfd = static_cast<unsigned>(blank.get());
    instead.newfd = static_cast<unsigned>(asked.data.args[0]);
    instead.newfd_flags = O_CLOEXEC;
    ::ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &instead);
    if (where != who::child) {
      shared_->fake_closed = static_cast<int>(asked.data.args[0]);
    }
  }

  const scenario& scenario_;
  const fault& fault_;
  shared_state* shared_;
  pid_t pid_ = -1;
};

// ---- The sweep ----

class sweep {
public:
  explicit sweep(bool brief) : brief_(brief) {}

  void all_of(const scenario& s) {
    const fault none;
    supervisor probe(s, none);
    probe.run();
    if (probe.outcome != usual_outcome(s) || !probe.harm.empty()) {
      report(s, none, probe, false);
      return;
    }
    for (const auto& [key, count] : probe.counts) {
      fault f{key.first, key.second, 1, 0};
      if (!has_rule(s, f)) {
        std::printf("%s\t%s\t%s\t0\t-\tno rule\tUNEXPECTED\n", s.name,
                    who_names[static_cast<int>(f.where)], f.call.c_str());
        ++unexpected_;
        continue;
      }
      // Of many equal ones the first and the last.
      for (f.occurrence = 1; f.occurrence <= count; ++f.occurrence) {
        if (f.occurrence <= most_ / 2 || f.occurrence > count - most_ / 2) {
          each_error(s, f);
        }
      }
    }
  }

  bool good() const { return unexpected_ == 0; }
  int done() const { return done_; }
  int unexpected() const { return unexpected_; }

private:
  static constexpr int most_ = 6;

  static bool has_rule(const scenario& s, fault f) {
    f.error = 0;
    return find_rule(s, f) != nullptr;
  }

  void each_error(const scenario& s, fault f) {
    std::vector<int> errors;
    for (const rule& each : rules()) {
      for (const int error : each.errors) {
        f.error = error;
        if (find_rule(s, f) == &each &&
            std::find(errors.begin(), errors.end(), error) == errors.end()) {
          errors.push_back(error);
        }
      }
    }
    for (const int error : errors) {
      if (brief_ && error != errors.front()) {
        break;
      }
      f.error = error;
      supervisor one(s, f);
      one.run();
      // How often a wait wakes is chance: the call may have been made less often this time.
      if (one.injected || one.outcome != usual_outcome(s) || !one.harm.empty()) {
        report(s, f, one, one.injected && is_allowed(s, f, one.outcome) && one.harm.empty());
      }
    }
  }

  void report(const scenario& s, const fault& f, const supervisor& result, bool good) {
    ++done_;
    unexpected_ += good ? 0 : 1;
    std::printf("%s\t%s\t%s\t%d\t%s\t%s%s%s\t%s\n", s.name, who_names[static_cast<int>(f.where)],
                f.call.c_str(), f.occurrence, f.error ? ::strerrorname_np(f.error) : "-",
                result.outcome.c_str(), result.harm.empty() ? "" : " BUT ", result.harm.c_str(),
                good ? "as it should be" : "UNEXPECTED");
    std::fflush(stdout);
  }

  bool brief_;
  int done_ = 0;
  int unexpected_ = 0;
};

} // namespace

int main(int argc, char** argv) {
  std::vector<std::string> chosen(argv + 1, argv + argc);
  const bool brief = std::erase(chosen, "--short") != 0;
  if (brief && chosen.empty()) {
    chosen = {"plain", "files", "identity", "no-close-range"};
  }
  sweep all(brief);
  for (const scenario& s : scenarios()) {
    if (chosen.empty() || std::find(chosen.begin(), chosen.end(), s.name) != chosen.end()) {
      all.all_of(s);
    }
  }
  std::fprintf(stderr, "%d injections, %d unexpected\n", all.done(), all.unexpected());
  return all.good() ? 0 : 1;
}
