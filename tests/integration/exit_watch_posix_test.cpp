// The watch of a child's exit where the program around it, or the kernel below, is not as hoped.
// Most cases run themselves again in a program of their own, because they spoil its signals or
// take system calls away from it.

#include <subproc/process.hpp>
#include <subproc/run.hpp>
#include <subproc/wait.hpp>

#include "children.hpp"
#include "own_process.hpp"
#include "platform.hpp"

#include <asio/io_context.hpp>
#include <asio/read_until.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/write.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

// What the kernel lacks for a part of a test.
const std::string everything = "nothing";     // pidfds, and what became of a taken status
const std::string no_exit_info = "exit info"; // before Linux 6.15
const std::string no_pidfd = "pidfd";         // before Linux 5.3: SIGCHLD is the only news

// Of these kernels those that differ for the platform: without pidfds they are all one.
std::vector<std::string> kernels(const std::vector<std::string>& all) {
  return platform_has(feature::pidfd) ? all : std::vector<std::string>{no_pidfd};
}

bool has(const std::string& part) { return own_part().find(part) != std::string::npos; }

// Takes away from this program what a part is to go without.
void lose_system_calls() {
  constexpr unsigned get_info = 0xC040FF0B; // PIDFD_GET_INFO
  constexpr auto jump = [](unsigned value, unsigned char yes, unsigned char no) {
    return sock_filter{BPF_JMP | BPF_JEQ | BPF_K, yes, no, value};
  };
  constexpr auto load = [](std::size_t offset) {
    return sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<unsigned>(offset)};
  };
  constexpr auto answer = [](unsigned value) { return sock_filter{BPF_RET | BPF_K, 0, 0, value}; };
  const bool pidfds = !has(no_pidfd);
  const bool exit_info = !has(no_exit_info);
  std::array<sock_filter, 8> filter{
      load(offsetof(seccomp_data, nr)),
      jump(pidfds ? ~0U : static_cast<unsigned>(SYS_pidfd_open), 4, 0),
      jump(pidfds ? ~0U : static_cast<unsigned>(SYS_clone3), 3, 0),
      jump(exit_info ? ~0U : static_cast<unsigned>(SYS_ioctl), 0, 3),
      load(offsetof(seccomp_data, args) + 8), // the low half of the second argument
      jump(get_info, 0, 1),
      answer(SECCOMP_RET_ERRNO | ENOSYS),
      answer(SECCOMP_RET_ALLOW)};
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
    std::_Exit(left_out);
  }
  asio::io_context context;
  process child(context, command("true"));
  REQUIRE((child.native_handle() < 0) == has(no_pidfd));
  child.wait();
}

// A child that the program makes without the library; it has ended when this returns.
pid_t ended_stranger(int code) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ::_exit(code);
  }
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0) {
    REQUIRE(errno == EINTR);
  }
  return pid;
}

std::string read_line(process& child) {
  std::string line;
  asio::read_until(child.out(), asio::dynamic_buffer(line), '\n');
  return line;
}

// The true status where the kernel still knows it, else unknown; and unknown where it cannot know.
void check_taken(const exit_status& status, int code) {
  if (!status.unknown()) {
    CHECK(has(everything));
    CHECK(status == exit_status::from_code(code));
  }
}

std::atomic<int> sigchld_count = 0;

// All are seen to end: some one after the other, the last first, and the rest at once.
void kill_on_four_loops(int count, int one_by_one) {
  std::array<asio::io_context, 4> contexts;
  std::vector<process> children;
  std::atomic<int> seen = 0;
  for (int i = 0; i < count; ++i) {
    asio::io_context& context = contexts[static_cast<std::size_t>(i) % contexts.size()];
    const int group = children.empty() ? 0 : children.front().pid();
    children.emplace_back(context, command(helper("forever")).process_group(group));
    children.back().async_wait([&seen](error_code, exit_status status) {
      seen += status == exit_status::from_signal(SIGKILL) ? 1 : 0;
    });
  }
  std::vector<std::thread> threads;
  for (asio::io_context& context : contexts) {
    threads.emplace_back([&context] { context.run(); });
  }
  for (int i = count - 1; i >= count - one_by_one; --i) {
    REQUIRE(::kill(children[static_cast<std::size_t>(i)].pid(), SIGKILL) == 0);
  }
  REQUIRE(::kill(-children.front().pid(), SIGKILL) == 0);
  for (std::thread& each : threads) {
    each.join();
  }
  CHECK(seen == count);
}

} // namespace

TEST_SUITE("exit_watch") {

  TEST_CASE("exit_watch: with SIGCHLD ignored a status is unknown, a failure, and no hang "
            "[T11] [K102]") {
    if (own_part().empty()) {
      const leak_check leaks;
      for (const std::string& lacking : kernels({everything, no_exit_info, no_pidfd})) {
        for (const std::string how : {"ignored", "no child wait"}) {
          run_part(how + ", without " + lacking);
        }
      }
      return;
    }
    const watchdog guard;
    struct sigaction action {};
    action.sa_handler = has("ignored") ? SIG_IGN : SIG_DFL;
    action.sa_flags = has("ignored") ? 0 : SA_NOCLDWAIT;
    REQUIRE(::sigaction(SIGCHLD, &action, nullptr) == 0);
    lose_system_calls();

    check_taken(call(steps({"exit:3"})), 3);
    bool failed = false;
    try {
      const exit_status known = run(command("true").check()).status;
      CHECK(known.success());
      check_taken(known, 0);
    } catch (const called_process_error& error) {
      failed = true;
      CHECK(error.result().status_unknown());
    }
    CHECK((failed || has(everything))); // what is not known to be well is not taken for well

    asio::io_context context;
    process child(context, steps({"read:1", "out:100000", "exit:4"}).in(piped).out(piped));
    int calls = 0;
    child.async_wait([&](error_code ec, exit_status status) {
      ++calls;
      CHECK_FALSE(ec);
      check_taken(status, 4);
    });
    child.async_communicate([&](error_code ec, const communicate_result& result) {
      ++calls;
      CHECK_FALSE(ec);
      check_taken(result.status, 4);
      CHECK(result.out == pattern(100'000));
    });
    async_check_call(context, command("true"), [&](std::exception_ptr error, exit_status status) {
      ++calls;
      CHECK(status.unknown() == static_cast<bool>(error));
      check_taken(status, 0);
    });
    context.run();
    CHECK(calls == 3);
    CHECK(child.returncode().has_value() == !child.status()->unknown());
  }

  TEST_CASE("exit_watch: a dead child that a debugger holds back stalls and spins nothing [T23]") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    process child(context, steps({"read:1", "exit:5"}).in(piped));
    process tracer(context,
                   command(helper("tracer"), std::to_string(child.pid())).in(piped).out(piped));
    if (read_line(tracer) == "refused\n") {
      MESSAGE("left out: tracing is not allowed here");
      return;
    }
    int ends = 0;
    exit_status status;
    child.async_wait([&](error_code, exit_status s) {
      ++ends;
      status = s;
    });
    child.async_communicate([&](error_code, const communicate_result&) { ++ends; });
    context.poll();
    CHECK(read_line(tracer) == "dead\n");
    // Without a pidfd nothing tells, and nothing wakes, until the debugger lets go.
    REQUIRE((child.native_handle() < 0 || readable(child.native_handle())));

    // The loop goes on, and the watch takes no more turns than a few a tick.
    int ticks = 0;
    asio::steady_timer timer(context);
    std::function<void(error_code)> tick = [&](error_code) {
      if (++ticks < 100) {
        timer.expires_after(1ms);
        timer.async_wait(tick);
      }
    };
    tick({});
    std::size_t turns = 0;
    while (ticks < 100) {
      turns += context.run_one();
    }
    CHECK(turns < 1'000);
    CHECK(ends == 0);
    CHECK(child.poll() == std::nullopt);

    tracer.in().close();
    context.run();
    CHECK(ends == 2);
    CHECK(status == exit_status::from_code(5));
    CHECK(tracer.wait().success());
  }

  TEST_CASE("exit_watch: the blocking wait does not spin on a child held by a debugger [T23]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1", "exit:5"}).in(piped));
    process tracer(context,
                   command(helper("tracer"), std::to_string(child.pid())).in(piped).out(piped));
    if (read_line(tracer) == "refused\n") {
      MESSAGE("left out: tracing is not allowed here");
      return;
    }
    child.in().close();
    CHECK(read_line(tracer) == "dead\n");
    const auto processor_time = [] {
      timespec used{};
      ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
      return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
    };
    const auto before = processor_time();
    CHECK_THROWS_AS(child.wait(200ms), timeout_expired);
    CHECK_THROWS_AS(child.communicate({}, 200ms), timeout_expired);
    const std::array<process*, 2> both{&child, &tracer};
    CHECK(wait_any(both, 200ms) == std::nullopt);
    CHECK(processor_time() - before < 200ms); // a third of the time that must have passed
    process third(context, steps({"exit:3"}));
    CHECK(wait_any(std::array{&child, &third}) == ended_child{1, exit_status::from_code(3)});
    tracer.in().close();
    CHECK(child.wait() == exit_status::from_code(5));
    CHECK(tracer.wait().success());
  }

  TEST_CASE("exit_watch: nothing done with an ended process reaches a new one of its pid [T25]") {
    if (own_part().empty()) {
      const leak_check leaks;
      for (const std::string& lacking : kernels({everything, no_pidfd})) {
        for (const std::string scope : {"process", "group", "session"}) {
          check_part(
              run(this_case("scope " + scope + ", without " + lacking, helper("pid_namespace"))));
        }
      }
      return;
    }
    const watchdog guard;
    ::setsid(); // pidfds signal groups, which a program that leads none may misjudge
    lose_system_calls();
    warm_up(); // later its threads would take numbers
    asio::io_context context;
    const auto in_scope = [](command cmd) {
      return has("scope group")     ? cmd.process_group(0)
             : has("scope session") ? cmd.new_session()
                                    : cmd;
    };
    std::optional<process> ended(std::in_place, context,
                                 in_scope(steps({"exit:1"}).in(piped).out(piped)));
    const int pid = ended->pid();
    CHECK(ended->wait() == exit_status::from_code(1));

    // The library may hold the number by the dead leader: then nobody can get it.
    std::optional<test_pipe> gate;
    std::optional<process> victim;
    for (int i = 0; i < 10 && !(victim && victim->pid() == pid); ++i) {
      std::ofstream("/proc/sys/kernel/ns_last_pid") << pid - 1 << std::flush;
      victim.reset();
      gate.emplace();
      victim.emplace(context, in_scope(shell("cat <&9 & read line; kill $!; exit 7")
                                           .in(piped)
                                           .out(piped)
                                           .map_fds({{9, gate->read_end.get()}})));
    }
    if (victim->pid() != pid) {
      REQUIRE(::kill(pid, 0) == 0);
    }

    int calls = 0;
    const auto count = [&calls](auto&&...) { ++calls; };
    CHECK(ended->poll() == 1);
    CHECK(ended->wait(0s) == exit_status::from_code(1));
    CHECK_NOTHROW(ended->send_signal(SIGKILL));
    CHECK_NOTHROW(ended->terminate());
    CHECK_NOTHROW(ended->kill());
    ended->async_wait(count);
    ended->async_wait(1ms, count);
    ended->async_stop(0s, count);
    context.run();
    ended->async_communicate(count);
    context.restart();
    context.run();
    ended->async_stop(1h, count);
    context.restart();
    context.run();
    CHECK(calls == 5);
    CHECK_THROWS_AS(ended->communicate(), system_error);
    ended->in().close();
    CHECK_THROWS_AS(ended->release(), system_error);
    ended.reset();

    // Both the leader and its member are as they were.
    CHECK(::write(gate->write_end.get(), "alive\n", 6) == 6);
    CHECK(read_line(*victim) == "alive\n");
    CHECK(victim->poll() == std::nullopt);
    victim->in().close();
    CHECK(victim->wait() == exit_status::from_code(7));
  }

  TEST_CASE("exit_watch: a stop of a group whose number is another's by now hurts nobody [T25]") {
    if (own_part().empty()) {
      const leak_check leaks;
      for (const std::string scope : {"group", "session"}) {
        for (const std::string& lacking : kernels({everything, no_pidfd})) {
          check_part(
              run(this_case("scope " + scope + ", without " + lacking, helper("pid_namespace"))));
        }
      }
      return;
    }
    const watchdog guard;
    lose_system_calls();
    warm_up();
    asio::io_context context;
    const auto in_scope = [](command cmd) {
      return has("scope group") ? cmd.process_group(0) : cmd.new_session();
    };
    // The program takes the status, and with it the number that the library would hold.
    std::optional<process> stolen(std::in_place, context, in_scope(steps({"exit:1"})));
    const int pid = stolen->pid();
    REQUIRE(::waitpid(pid, nullptr, 0) == pid);
    stolen->poll();
    REQUIRE(stolen->status().has_value());
    check_taken(*stolen->status(), 1);

    const test_pipe member_gate;
    std::ofstream("/proc/sys/kernel/ns_last_pid") << pid - 1 << std::flush;
    process victim(context, in_scope(shell("cat <&9 & read line; kill $!; exit 7")
                                         .in(piped)
                                         .out(piped)
                                         .map_fds({{9, member_gate.read_end.get()}})));
    REQUIRE(victim.pid() == pid);
    stolen->kill();
    int calls = 0;
    stolen->async_stop(0s, [&](error_code ec, const stop_result&) {
      ++calls;
      CHECK_FALSE(ec);
    });
    context.run();
    CHECK(calls == 1);
    stolen.reset();

    CHECK(::write(member_gate.write_end.get(), "alive\n", 6) == 6);
    CHECK(read_line(victim) == "alive\n");
    victim.in().close();
    CHECK(victim.wait() == exit_status::from_code(7));
  }

  TEST_CASE("exit_watch: a status taken by the program's own waitpid is no hang [T26]") {
    if (own_part().empty()) {
      const leak_check leaks;
      for (const std::string& lacking : kernels({everything, no_exit_info, no_pidfd})) {
        run_part("without " + lacking);
      }
      return;
    }
    const watchdog guard;
    lose_system_calls();
    asio::io_context context;
    int calls = 0;

    // Taken while everything of the loop waits.
    process child(context, steps({"read:1", "say:last", "exit:6"}).in(piped).out(piped));
    child.async_wait([&](error_code ec, exit_status status) {
      ++calls;
      CHECK_FALSE(ec);
      check_taken(status, 6);
    });
    child.async_communicate([&](error_code ec, const communicate_result& result) {
      ++calls;
      CHECK_FALSE(ec);
      CHECK(result.out == "last\n");
      check_taken(result.status, 6);
    });
    child.in().close();
    CHECK(::waitpid(-1, nullptr, 0) == child.pid());
    context.run();
    CHECK(calls == 2);

    // Taken before anybody looked, with each way to look.
    const std::vector<std::function<exit_status(process&)>> ways{
        [](process& p) { return p.wait(); },
        [](process& p) { return p.communicate().status; },
        [](process& p) {
          CHECK(eventually([&] { return p.poll() || p.status(); }));
          return p.status().value_or(exit_status());
        },
        [](process& p) {
          CHECK_NOTHROW(p.kill());
          return p.wait();
        },
    };
    for (const auto& way : ways) {
      process taken(context, steps({"exit:6"}));
      REQUIRE(::waitpid(-1, nullptr, 0) == taken.pid());
      check_taken(way(taken), 6);
    }
    CHECK_THROWS_AS(run(steps({"exit:6"}).check()), called_process_error);
  }

  TEST_CASE("exit_watch: children of the program's own are never reaped [T26]") {
    if (own_part().empty()) {
      const leak_check leaks;
      for (const std::string& lacking : kernels({everything, no_pidfd})) {
        run_part("without " + lacking);
      }
      return;
    }
    const watchdog guard;
    lose_system_calls();
    std::vector<pid_t> strangers;
    asio::io_context context;
    for (int i = 0; i < 10; ++i) {
      strangers.push_back(ended_stranger(100 + i));
      CHECK(call({"true"}).success());
      async_call(context, {"true"}, [](std::exception_ptr, exit_status) {});
      process(context, command("sleep", "600").drop(drop_policy::kill));
      process(context, command("true").drop(drop_policy::detach));
    }
    context.run();
    for (int i = 0; i < 10; ++i) {
      int status = 0;
      const pid_t pid = strangers[static_cast<std::size_t>(i)];
      CHECK(::waitpid(pid, &status, WNOHANG) == pid);
      CHECK(WEXITSTATUS(status) == 100 + i);
    }
    CHECK(eventually([] { return !has_children(); })); // and ours all are
  }

  TEST_CASE("exit_watch: the program's own news of SIGCHLD keeps coming [T27]") {
    if (own_part().empty()) {
      const leak_check leaks;
      for (const std::string& lacking : kernels({everything, no_pidfd})) {
        for (const std::string whose : {"signal_set", "handler"}) {
          for (const std::string when : {"before", "after"}) {
            run_part(whose + ' ' + when + " us, without " + lacking);
          }
        }
      }
      return;
    }
    const watchdog guard;
    asio::io_context context;
    asio::signal_set signals(context);
    std::function<void(error_code, int)> signalled = [&](error_code ec, int) {
      if (!ec) {
        ++sigchld_count;
        signals.async_wait(signalled);
      }
    };
    const auto listen = [&] {
      if (has("signal_set")) {
        signals.add(SIGCHLD);
        signals.async_wait(signalled);
        return;
      }
      struct sigaction action {};
      action.sa_handler = [](int) { ++sigchld_count; };
      action.sa_flags = SA_RESTART;
      REQUIRE(::sigaction(SIGCHLD, &action, nullptr) == 0);
    };
    const auto told = [&](const std::function<void()>& of) {
      const int before = sigchld_count;
      of();
      return eventually([&] {
        context.restart();
        context.poll();
        return sigchld_count > before;
      });
    };
    if (has("before")) {
      listen();
    }
    lose_system_calls();
    process child(context, steps({"read:1", "exit:2"}).in(piped));
    if (has("after")) {
      listen();
    }
    struct sigaction first {};
    ::sigaction(SIGCHLD, nullptr, &first);

    // The program hears of its own children and of ours, and we of ours.
    CHECK(told([] { ::waitpid(ended_stranger(9), nullptr, 0); }));
    int ends = 0;
    child.async_wait([&](error_code, exit_status status) {
      ends += status == exit_status::from_code(2) ? 1 : 0;
    });
    CHECK(told([&] { child.in().close(); }));
    CHECK(eventually([&] {
      context.restart();
      context.poll();
      return ends == 1;
    }));
    CHECK(run(steps({"exit:3"})).status == exit_status::from_code(3));
    CHECK(told([] { ::waitpid(ended_stranger(9), nullptr, 0); }));

    struct sigaction last {};
    ::sigaction(SIGCHLD, nullptr, &last);
    CHECK((last.sa_handler == first.sa_handler));
  }

  TEST_CASE(
      "exit_watch: who leaves after its number was given again takes no news from the new one "
      "[T25] [T26]") {
    if (own_part().empty()) {
      const leak_check leaks;
      for (const std::string& lacking : kernels({everything, no_pidfd})) {
        check_part(run(this_case("without " + lacking, helper("pid_namespace"))));
      }
      return;
    }
    const watchdog guard;
    lose_system_calls();
    warm_up();
    asio::io_context context;
    std::optional<process> former(std::in_place, context, steps({"exit:1"}));
    const int pid = former->pid();
    REQUIRE(::waitpid(pid, nullptr, 0) == pid); // taken by the program, which frees the number
    std::ofstream("/proc/sys/kernel/ns_last_pid") << pid - 1 << std::flush;
    process heir(context, steps({"read:1", "exit:7"}).in(piped));
    REQUIRE(heir.pid() == pid);
    CHECK_NOTHROW(former->kill());
    check_taken(former->wait(), 1);
    exit_status seen;
    heir.async_wait([&](error_code ec, exit_status status) {
      CHECK_FALSE(ec);
      seen = status;
    });
    former.reset();
    heir.in().close();
    context.run();
    CHECK(seen == exit_status::from_code(7));
  }

  TEST_CASE("exit_watch: signals are heard again after the program's own listener has gone [T27]") {
    if (own_part().empty()) {
      const leak_check leaks;
      run_part("without " + no_pidfd);
      return;
    }
    const watchdog guard;
    lose_system_calls();
    asio::io_context context;
    const auto handler = [] {
      struct sigaction action {};
      ::sigaction(SIGCHLD, nullptr, &action);
      return action.sa_handler;
    };
    const auto ours = handler();
    CHECK((ours != SIG_DFL));
    std::optional<asio::signal_set> signals(std::in_place, context, SIGCHLD);
    CHECK((handler() != ours));
    CHECK(run(steps({"exit:3"})).status == exit_status::from_code(3));
    signals.reset();
    CHECK((handler() == SIG_DFL)); // Asio does not know what was there before
    CHECK(run(steps({"exit:3"})).status == exit_status::from_code(3));
    CHECK((handler() == ours));
  }

  TEST_CASE("exit_watch: without a list of processes a group is stopped whole [T46]") {
    if (own_part().empty()) {
      const leak_check leaks;
      for (const std::string& lacking : kernels({everything, no_pidfd})) {
        run_part("without " + lacking);
      }
      return;
    }
    const watchdog guard;
    lose_system_calls();
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", "/proc", "tmpfs", 0, nullptr) != 0) {
      std::_Exit(left_out);
    }
    asio::io_context context;
    process group(context,
                  command(helper("family"), "leaves", "ignores").out(piped).process_group(0));
    CHECK(read_line(group).size() > 1); // the pid of the member
    int calls = 0;
    group.async_stop(20ms, [&](error_code ec, const stop_result& stopped) {
      ++calls;
      CHECK_FALSE(ec);
      CHECK(stopped.forced);
    });
    context.run();
    CHECK(calls == 1);
    // Its member held this pipe as well: the end of the file means that it is gone.
    char byte = 0;
    error_code ec;
    CHECK(group.out().read_some(asio::buffer(&byte, 1), ec) == 0);
    CHECK(ec == asio::error::eof);
    CHECK(::umount2("/proc", MNT_DETACH) == 0); // the leak sanitizer looks there
  }

  TEST_CASE("exit_watch: 5,000 children on four loops are all seen, whenever they end [T28]") {
    if (own_part().empty()) {
      const leak_check leaks;
      check_part(run(this_case("without " + no_pidfd).timeout(160s)));
      return;
    }
    const watchdog guard(std::chrono::seconds(150));
    lose_system_calls();
    constexpr int count = times(5000);
    const rlimit files{2 * count + 200, 2 * count + 200};
    if (::setrlimit(RLIMIT_NOFILE, &files) != 0) {
      std::_Exit(left_out);
    }
    kill_on_four_loops(count, count / 2);
  }

  TEST_CASE("exit_watch: children that die all at once on four loops are all seen [T28]") {
    if (own_part().empty()) {
      const leak_check leaks;
      for (const std::string& lacking : kernels({everything, no_pidfd})) {
        run_part("without " + lacking);
      }
      return;
    }
    const watchdog guard;
    lose_system_calls();
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    kill_on_four_loops(times(250), 0);
  }

} // TEST_SUITE
