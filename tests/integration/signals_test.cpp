#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "ended.hpp"
#include "own_process.hpp"

#include <asio/io_context.hpp>
#include <asio/read_until.hpp>
#include <asio/use_future.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <new>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

// With this filter the first signal that is sent by number or by pidfd ends this process.
void die_at_signals_from_now_on() {
  const auto is = [](long call, unsigned char skipped) {
    return sock_filter{BPF_JMP | BPF_JEQ | BPF_K, skipped, 0, static_cast<unsigned>(call)};
  };
  std::array<sock_filter, 5> filter{
      sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)}, is(SYS_kill, 2),
      is(SYS_pidfd_send_signal, 1), sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS}};
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    std::_Exit(left_out);
  }
}

constexpr std::array ways_to_start{launcher_kind::none, launcher_kind::vfork, launcher_kind::fork};

const std::string quick_program = helper("nothing");
const std::string forever = helper("forever");

// What a handler has seen. In memory shared with children, so that one which ran in a child that is
// a copy of this process is seen too.
struct sightings {
  std::atomic<unsigned long> here = 0;
  std::atomic<unsigned long> in_a_child = 0;
};
static_assert(std::atomic<unsigned long>::is_always_lock_free);

sightings* seen = nullptr;
long own_pid = 0;

void count(int) { (syscall(SYS_getpid) == own_pid ? seen->here : seen->in_a_child)++; }

// Counts a signal of this process for as long as it lives.
class counted {
public:
  explicit counted(int number) : number_(number) {
    void* const shared = ::mmap(nullptr, sizeof(sightings), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    seen = new (shared) sightings;
    own_pid = ::getpid();
    struct sigaction action {};
    action.sa_handler = count;
    action.sa_flags = SA_RESTART;
    REQUIRE(::sigaction(number_, &action, &old_) == 0);
  }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() {
    ::sigaction(number_, &old_, nullptr);
    ::munmap(seen, sizeof(sightings));
  }

private:
  int number_;
  struct sigaction old_ {};
};

// Ignores a signal for as long as it lives.
class ignored {
public:
  explicit ignored(int number) : number_(number) {
    struct sigaction action {};
    action.sa_handler = SIG_IGN;
    REQUIRE(::sigaction(number_, &action, &old_) == 0);
  }
  ignored(const ignored&) = delete;
  ignored& operator=(const ignored&) = delete;
  ~ignored() { ::sigaction(number_, &old_, nullptr); }

private:
  int number_;
  struct sigaction old_ {};
};

// Blocks all signals of this thread for as long as it lives.
class all_blocked {
public:
  all_blocked() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &old_);
  }
  all_blocked(const all_blocked&) = delete;
  all_blocked& operator=(const all_blocked&) = delete;
  ~all_blocked() { ::pthread_sigmask(SIG_SETMASK, &old_, nullptr); }

private:
  sigset_t old_{};
};

// The sets of signals of a process, from the text of its /proc/PID/status.
struct signal_sets {
  std::uint64_t blocked = 0;
  std::uint64_t ignored = 0;
  std::uint64_t caught = 0;
};

signal_sets parse(const std::string& status) {
  signal_sets sets;
  std::istringstream lines(status);
  for (std::string line; std::getline(lines, line);) {
    for (const auto& [name, set] :
         {std::pair{"SigBlk:", &sets.blocked}, std::pair{"SigIgn:", &sets.ignored},
          std::pair{"SigCgt:", &sets.caught}}) {
      if (line.starts_with(name)) {
        *set = std::stoull(line.substr(7), nullptr, 16);
      }
    }
  }
  return sets;
}

signal_sets own_sets() {
  std::stringstream text;
  text << std::ifstream("/proc/thread-self/status").rdbuf();
  return parse(text.str());
}

// How a child finds its signals: those of a program without any handlers.
command status_of_child() { return command("cat", "/proc/self/status").out(piped); }

constexpr std::uint64_t bit(int number) { return std::uint64_t{1} << (number - 1); }

std::string shown(const signal_sets& sets) {
  std::ostringstream text;
  text << std::hex << "blocked " << sets.blocked << ", ignored " << sets.ignored << ", caught "
       << sets.caught;
  return text.str();
}

// Sends a signal to a process or group again and again from a thread, each as soon as the one
// before has been handled here: two that are pending at once would be merged, and could not be
// counted.
class storm {
public:
  storm(int target, int number)
      : thread_([this, target, number] {
          const all_blocked blocked; // for the others to handle
          while (!over_ && ::kill(target, number) == 0) {
            ++sent_;
            while (seen->here < sent_) {
              std::this_thread::yield();
            }
          }
        }) {
    while (seen->here == 0) { // a sleep would be interrupted for ever
      std::this_thread::yield();
    }
  }
  storm(const storm&) = delete;
  storm& operator=(const storm&) = delete;
  ~storm() { end(); }

  unsigned long end() {
    over_ = true;
    if (thread_.joinable()) {
      thread_.join();
    }
    return sent_;
  }

private:
  std::atomic<bool> over_ = false;
  unsigned long sent_ = 0;
  std::thread thread_;
};

std::string line_from(process& child) {
  std::string line;
  asio::read_until(child.out(), asio::dynamic_buffer(line), '\n');
  return line;
}

} // namespace

TEST_SUITE("signals") {

  TEST_CASE("signals: a storm at the caller during spawns reaches it to the last one [T9]") {
    const leak_check leaks;
    const watchdog guard;
    const counted counting(SIGUSR1);
    storm signals(::getpid(), SIGUSR1);
    int good = 0;
    for (int i = 0; i < times(100); ++i) {
      for (const launcher_kind kind : ways_to_start) {
        good += run(command(quick_program).launcher(make_launcher(kind))).status.success() ? 1 : 0;
      }
    }
    const unsigned long sent = signals.end();
    CHECK(seen->here == sent);
    CHECK(sent > 0);
    CHECK(seen->in_a_child == 0);
    CHECK(good == 3 * times(100));
  }

  TEST_CASE("signals: a storm at the group runs no handler of the caller in a child [T9] [T52]") {
    const leak_check leaks;
    const watchdog guard;
    if (!in_own_process()) {
      return;
    }
    // It meets children between clone and exec: they die of it or become their program.
    for (const int number : {SIGUSR1, SIGTERM}) {
      CAPTURE(number);
      const counted counting(number);
      storm signals(-::getpgrp(), number);
      int killed = 0;
      int ended = 0;
      for (int i = 0; i < times(100); ++i) {
        for (const launcher_kind kind : ways_to_start) {
          const exit_status status =
              run(command(quick_program).launcher(make_launcher(kind))).status;
          killed += status == exit_status::from_signal(number) ? 1 : 0;
          ended += status.success() ? 1 : 0;
        }
      }
      signals.end();
      CHECK(seen->in_a_child == 0);
      CHECK(killed > 0);
      CHECK(killed + ended == 3 * times(100));
    }
  }

  TEST_CASE("signals: SIGTERM at once after the spawn ends the child, no handler runs [T52]") {
    const leak_check leaks;
    const watchdog guard;
    const counted counting(SIGTERM);
    asio::io_context context;
    for (const launcher_kind kind : ways_to_start) {
      CAPTURE(std::string(to_string(kind)));
      const auto by = make_launcher(kind);
      int died = 0;
      int ended = 0;
      for (int i = 0; i < times(150); ++i) {
        process endless(context, command(forever).launcher(by));
        endless.terminate();
        process quick(context, command(quick_program).launcher(by));
        quick.terminate();
        died += endless.wait() == exit_status::from_signal(SIGTERM) ? 1 : 0;
        const exit_status status = quick.wait();
        ended += status.success() || status == exit_status::from_signal(SIGTERM) ? 1 : 0;
      }
      CHECK(died == times(150));
      CHECK(ended == times(150));
    }
    CHECK(seen->in_a_child == 0);
    CHECK(seen->here == 0);
  }

  TEST_CASE("signals: a child of a thread that blocks all has an empty mask [T10]") {
    const leak_check leaks;
    const all_blocked blocked;
    REQUIRE(own_sets().blocked != 0);
    for (const signal_setup how : {signal_setup::standard, signal_setup::reset_all}) {
      for (const launcher_kind kind : ways_to_start) {
        CAPTURE(std::string(to_string(kind)));
        const command cmd = status_of_child().signals(how).launcher(make_launcher(kind));
        CHECK(parse(run(cmd).out).blocked == 0);
      }
      // Its own threads block all too.
      asio::io_context context;
      auto done = async_run(context, status_of_child().signals(how), asio::use_future);
      context.run();
      CHECK(parse(done.get().out).blocked == 0);
    }
    CHECK(own_sets().blocked != 0);
  }

  TEST_CASE("signals: a child ignores and catches what it should of what the caller does "
            "[T10] [K70]") {
    const leak_check leaks;
    if (!in_own_process()) {
      return;
    }
    const counted caught(SIGUSR1);
    const ignored no_pipe(SIGPIPE);
    const ignored no_size(SIGXFSZ);
    const ignored no_child(SIGCHLD);
    const ignored no_hang_up(SIGHUP);
    const ignored no_real_time(SIGRTMAX);
    const all_blocked blocked;
    const signal_sets own = own_sets();
    const std::uint64_t reset = bit(SIGPIPE) | bit(SIGXFSZ) | bit(SIGCHLD);
    REQUIRE((own.ignored & reset) == reset);
    REQUIRE((own.caught & bit(SIGUSR1)) != 0);

    const auto check = [&](signal_setup how, const signal_sets& expected) {
      for (const launcher_kind kind : ways_to_start) {
        CAPTURE(std::string(to_string(kind)));
        const command cmd = status_of_child().signals(how).launcher(make_launcher(kind));
        CHECK(shown(parse(run(cmd).out)) == shown(expected));
      }
      asio::io_context context;
      auto done = async_run(context, status_of_child().signals(how), asio::use_future);
      context.run();
      CHECK(shown(parse(done.get().out)) == shown(expected));
    };
    check(signal_setup::standard, {0, own.ignored & ~reset, 0});
    CHECK((own.ignored & ~reset & bit(SIGHUP)) != 0); // as nohup wants it
    check(signal_setup::reset_all, {0, 0, 0});
    check(signal_setup::keep, {own.blocked, own.ignored, 0});
    CHECK(shown(own_sets()) == shown(own));
  }

  TEST_CASE("signals: what the caller does with SIGCHLD is not changed by any spawn [T10]") {
    const leak_check leaks;
    if (!in_own_process()) {
      return;
    }
    const ignored no_child(SIGCHLD);
    const signal_sets own = own_sets();
    for (const launcher_kind kind : ways_to_start) {
      CAPTURE(std::string(to_string(kind)));
      // Children that may be gone before the spawn returns: nobody has to reap them.
      for (int i = 0; i < times(100); ++i) {
        run(command(quick_program).launcher(make_launcher(kind)));
      }
      CHECK(shown(own_sets()) == shown(own));
    }
  }

  TEST_CASE("signals: send_signal, terminate and kill send what they say [K88] [C48] [C49]") {
    const leak_check leaks;
    asio::io_context context;
    for (const auto& [send, number] : std::vector<std::pair<std::function<void(process&)>, int>>{
             {[](process& child) { child.terminate(); }, SIGTERM},
             {[](process& child) { child.kill(); }, SIGKILL},
             {[](process& child) { child.send_signal(SIGINT); }, SIGINT},
             {[](process& child) { child.send_signal(SIGUSR2); }, SIGUSR2},
             {[](process& child) { child.send_signal(SIGRTMIN + 3); }, SIGRTMIN + 3}}) {
      const int sent = number; // clang 14 captures no structured binding
      CAPTURE(sent);
      process child(context, command(forever).err(piped));
      child.send_signal(0);
      CHECK(child.poll() == std::nullopt);
      send(child);
      CHECK(child.wait() == exit_status::from_signal(number));
      CHECK(child.returncode() == -number);
      CHECK(child.communicate().err.empty());
    }
  }

  TEST_CASE("signals: a child may ignore SIGTERM, and not SIGKILL") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"ignore:" + std::to_string(SIGTERM), "say:ready", "read:1",
                                  "say:alive", "read:1"})
                               .in(piped)
                               .out(piped));
    REQUIRE(line_from(child) == "ready\n");
    child.terminate();
    CHECK(child.in().write_some(asio::buffer("x", 1)) == 1);
    CHECK(line_from(child) == "alive\n");
    CHECK(child.poll() == std::nullopt);
    child.kill();
    CHECK(child.wait() == exit_status::from_signal(SIGKILL));
  }

  TEST_CASE("signals: they go to the child alone and not to its group") {
    const leak_check leaks;
    asio::io_context context;
    process leader(context,
                   command(helper("family"), "obeys", "obeys").process_group(0).out(piped));
    const int member = std::stoi(line_from(leader));
    leader.terminate();
    CHECK(leader.wait() == exit_status::from_signal(SIGTERM));
    CHECK(::kill(member, 0) == 0);
    ::kill(member, SIGKILL);
    std::array<char, 1> byte;
    error_code ec;
    leader.out().read_some(asio::buffer(byte), ec); // which it held until it died
    CHECK(ec == asio::error::eof);
  }

  TEST_CASE("signals: a number that is none is an error, and the child is not touched") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1"}).in(piped));
    for (const int number : {-1, 65, 12345}) {
      CAPTURE(number);
      error_code ec;
      child.send_signal(number, ec);
      CHECK(ec == std::errc::invalid_argument);
      CHECK_THROWS_AS(child.send_signal(number), system_error);
    }
    CHECK(child.poll() == std::nullopt);
    child.in().close();
    CHECK(child.wait().success());
  }

  TEST_CASE("signals: after the exit they are no error and change nothing [K89] [T30] [C48]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"exit:5"}));
    REQUIRE(has_ended(child)); // ended, and not yet reaped
    for (int i = 0; i < 2; ++i) {
      error_code ec = asio::error::in_progress;
      child.send_signal(SIGTERM, ec);
      CHECK(ec == error_code());
      CHECK_NOTHROW(child.send_signal(0));
      CHECK_NOTHROW(child.terminate());
      CHECK_NOTHROW(child.kill());
      CHECK(child.wait() == exit_status::from_code(5)); // now it is
    }
  }

  TEST_CASE("signals: to an ended child, also one reaped behind our back, none is sent [K106]") {
    if (!in_own_process()) {
      return;
    }
    asio::io_context context;
    process ended(context, steps({"exit:5"}));
    process stolen(context, steps({"exit:6"}));
    REQUIRE(has_ended(ended));
    REQUIRE(::waitpid(stolen.pid(), nullptr, 0) == stolen.pid());
    die_at_signals_from_now_on();
    for (process* each : {&ended, &stolen}) {
      for (int i = 0; i < 2; ++i) {
        CHECK_NOTHROW(each->send_signal(0));
        CHECK_NOTHROW(each->send_signal(SIGTERM));
        CHECK_NOTHROW(each->terminate());
        CHECK_NOTHROW(each->kill());
        CHECK(each->stop().signals.empty());
      }
    }
    CHECK(ended.returncode() == 5);
    // A kernel that remembers the code of a reaped child tells it.
    CHECK((stolen.status()->unknown() || stolen.returncode() == 6));
  }

  TEST_CASE("signals: one reaped between the look and the signal is no error [K107] [C48]") {
    const leak_check leaks;
    for (const launcher_kind kind : ways_to_start) {
      const launched_child made = make_launcher(kind)->start(steps({"exit:5"}));
      REQUIRE(readable(made.child->exit_handle()));
      REQUIRE(::waitpid(made.child->pid(), nullptr, 0) == made.child->pid());
      CHECK_FALSE(made.child->signal(SIGTERM, scope::process)); // it has not looked
      CHECK(made.child->try_wait());
      CHECK_FALSE(made.child->signal(SIGTERM, scope::process));
    }
  }

  TEST_CASE("signals: on a loop they end the child, whose wait tells the signal [K121]") {
    const leak_check leaks;
    asio::io_context context;
    for (const int number : {SIGKILL, SIGTERM, SIGHUP}) {
      CAPTURE(number);
      process child(context, command(forever));
      std::optional<exit_status> seen;
      child.async_wait([&](error_code ec, exit_status status) {
        CHECK_FALSE(ec);
        seen = status;
      });
      context.restart();
      context.poll();
      child.send_signal(number);
      // Python's loop knows of it only once it has looked.
      CHECK(child.returncode() == std::nullopt);
      context.run();
      CHECK(seen == exit_status::from_signal(number));
      CHECK(child.returncode() == -number);
    }
  }

  TEST_CASE("signals: a shell that runs a command dies of kill, without an error [K122]") {
    const leak_check leaks;
    asio::io_context context;
    test_pipe gate; // keeps the command
    process child(
        context, shell("echo ready; cat <&3; true").out(piped).map_fds({{3, gate.read_end.get()}}));
    REQUIRE(line_from(child) == "ready\n");
    child.kill();
    CHECK(child.wait() == exit_status::from_signal(SIGKILL));
  }

  TEST_CASE("signals: one that races the exit leaves a known status [K135]") {
    const leak_check leaks;
    asio::io_context context;
    for (int i = 0; i < times(100); ++i) {
      process child(context, command(quick_program));
      std::optional<exit_status> seen;
      child.async_wait([&](error_code, exit_status status) { seen = status; });
      child.send_signal(SIGTERM);
      context.restart();
      context.run();
      REQUIRE(seen);
      CHECK((seen->success() || *seen == exit_status::from_signal(SIGTERM)));
    }
  }

  TEST_CASE("signals: after a kill the code is known once somebody has looked [K155] [C81]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, command(forever));
    child.kill();
    CHECK(child.returncode() == std::nullopt);
    REQUIRE(has_ended(child));
    CHECK(child.returncode() == std::nullopt);
    CHECK(child.poll() == -SIGKILL);
    CHECK(child.returncode() == -SIGKILL);
  }

} // TEST_SUITE
