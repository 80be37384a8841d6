#include <subproc/audit.hpp>
#include <subproc/pool.hpp>
#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "ended.hpp"
#include "own_process.hpp"
#include "plain_text.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

// Hooks cannot be removed: each case here runs in a process of its own.

namespace {

struct seen_event {
  audit_kind kind;
  command cmd;
  std::uint64_t id;
  pid_type pid;
  launcher_kind launched_by;
  exit_status status;
  std::chrono::nanoseconds elapsed;
  std::string error;
  std::thread::id thread;
};

using kinds = std::vector<audit_kind>;
constexpr auto spawn = audit_kind::spawn;
constexpr auto started = audit_kind::started;
constexpr auto failed = audit_kind::failed;
constexpr auto exited = audit_kind::exited;
constexpr auto dropped_alive = audit_kind::dropped_alive;

class recorder {
public:
  void add(const audit_event& event) {
    const std::lock_guard lock(mutex_);
    events_.push_back({event.kind, event.cmd, event.id, event.pid, event.launched_by, event.status,
                       event.elapsed, event.error ? event.error->what() : "",
                       std::this_thread::get_id()});
  }

  std::vector<seen_event> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(events_, {});
  }

  std::size_t count(audit_kind kind) {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::ranges::count(events_, kind, &seen_event::kind));
  }

  /// What came since the last call, once the exit is among it.
  kinds until_exit() {
    CHECK(eventually([this] { return count(exited) != 0; }));
    return take_kinds();
  }

  kinds take_kinds() {
    kinds all;
    for (const seen_event& event : take()) {
      all.push_back(event.kind);
    }
    return all;
  }

private:
  std::mutex mutex_;
  std::vector<seen_event> events_;
};

/// A recorder that sees all from now on.
recorder& record() {
  auto* const events = new recorder; // as long as the hook
  add_audit_hook([events](const audit_event& event) { events->add(event); });
  events->take();
  return *events;
}

struct veto : std::runtime_error {
  veto() : std::runtime_error("not this one") {}
};

command forever() { return command(helper("forever")); }

struct start_form {
  const char* name;
  std::function<void(const command&)> start;
};

void async_forms(std::vector<start_form>& ways) {
  const auto rethrow = [](const std::exception_ptr& error) {
    if (error) {
      std::rethrow_exception(error);
    }
  };
  ways.push_back({"async_spawn", [rethrow](const command& cmd) {
                    asio::io_context context;
                    std::exception_ptr error;
                    async_spawn(context, cmd, [&error](std::exception_ptr e, process child) {
                      error = std::move(e);
                      if (!error) {
                        const auto keep = std::make_shared<process>(std::move(child));
                        keep->async_wait([keep](error_code, exit_status) {});
                      }
                    });
                    context.run();
                    rethrow(error);
                  }});
  ways.push_back({"async_run", [rethrow](const command& cmd) {
                    asio::io_context context;
                    std::exception_ptr error;
                    async_run(context, cmd, [&error](std::exception_ptr e, completed_process) {
                      error = std::move(e);
                    });
                    context.run();
                    rethrow(error);
                  }});
  ways.push_back({"pool", [rethrow](const command& cmd) {
                    asio::io_context context;
                    std::exception_ptr error;
                    bool given = false;
                    pool jobs(
                        context, {},
                        [&](command& next) {
                          next = cmd;
                          return std::exchange(given, true) ? next_command::end
                                                            : next_command::ready;
                        },
                        [&error](pool_result result) { error = std::move(result.error); });
                    jobs.async_run([](std::exception_ptr, pool_summary) {});
                    context.run();
                    rethrow(error);
                  }});
}

/// Every way to start a command; each waits for the end of it.
std::vector<start_form> all_ways() {
  std::vector<start_form> ways{{"run", [](const command& cmd) { run(cmd); }},
                               {"process", [](const command& cmd) {
                                  asio::io_context context;
                                  process(context, cmd).wait();
                                }}};
  async_forms(ways);
  return ways;
}

} // namespace

TEST_SUITE("audit") {

  TEST_CASE("audit: a hook sees program, argv, cwd and env before anything is started, on the "
            "thread that asked [K150]") {
    if (!in_own_process()) {
      return;
    }
    warm_up();
    recorder& events = record();
    bool early = true;
    add_audit_hook([&early](const audit_event& event) {
      if (event.kind == spawn) {
        early = early && !has_children();
        CHECK(event.executable() == "/bin/sh");
        CHECK(event.args() == std::vector<std::string>{"/bin/sh", "-c", "exit $0", "3"});
        CHECK(event.cwd() == "/");
        REQUIRE(event.env());
        CHECK(event.env()->get("A") == "b");
      }
    });
    events.take();
    const command cmd = shell("exit $0", "3").cwd("/").env(environment{{"A", "b"}});
    for (const start_form& each : all_ways()) {
      CAPTURE(each.name);
      each.start(cmd);
      const std::vector<seen_event> seen = events.take();
      REQUIRE(seen.size() == 3);
      CHECK(seen[0].kind == spawn);
      CHECK(seen[0].thread == std::this_thread::get_id());
      CHECK(seen[0].pid == -1);
      CHECK(seen[1].kind == started);
      CHECK(seen[1].pid > 0);
      CHECK(seen[1].launched_by != launcher_kind::none);
      CHECK(seen[2].kind == exited);
      CHECK(seen[2].pid == seen[1].pid);
      CHECK(seen[2].launched_by == seen[1].launched_by);
      CHECK(seen[2].status == exit_status::from_code(3));
      CHECK(seen[2].elapsed > 0ns);
      for (const seen_event& event : seen) {
        CHECK(event.id == seen[0].id);
        CHECK(event.cmd.args() == cmd.args());
      }
    }
    CHECK(early);
  }

  TEST_CASE("audit: bad arguments raise no event [C72]") {
    if (!in_own_process()) {
      return;
    }
    recorder& events = record();
    for (const start_form& each : all_ways()) {
      CAPTURE(each.name);
      CHECK_THROWS_AS(each.start(command("true").umask(-1)), spawn_error);
      CHECK(events.take().empty());
    }
  }

  TEST_CASE("audit: the first hook that throws prevents the spawn, and its exception comes out as "
            "it is [K150]") {
    if (!in_own_process()) {
      return;
    }
    recorder& before = record();
    add_audit_hook([](const audit_event& event) {
      if (event.kind == spawn && event.executable() == "false") {
        throw veto();
      }
    });
    add_audit_hook([](const audit_event& event) {
      if (event.kind == spawn && event.executable() == "false") {
        throw std::logic_error("came too late");
      }
    });
    recorder& after = record();
    const leak_check leaks;
    for (const start_form& each : all_ways()) {
      CAPTURE(each.name);
      before.take();
      after.take();
      CHECK_THROWS_AS(each.start(command("false").in(piped).capture_output()), veto);
      CHECK(before.take_kinds() == kinds{spawn});
      CHECK(after.take().empty());
      each.start("true");
      CHECK(after.take_kinds() == kinds{spawn, started, exited});
    }
  }

  TEST_CASE("audit: adding a hook is an event, and an older hook that throws keeps the new one "
            "out [C72]") {
    if (!in_own_process()) {
      return;
    }
    std::string log;
    bool refuses = false;
    add_audit_hook([&](const audit_event& event) {
      log += event.kind == audit_kind::hook_added ? '+' : '1';
      if (refuses && event.kind == audit_kind::hook_added) {
        throw veto();
      }
    });
    CHECK(log.empty());
    add_audit_hook([&](const audit_event&) { log += '2'; });
    CHECK(log == "+");
    refuses = true;
    add_audit_hook([&](const audit_event&) { log += '3'; });
    CHECK(log == "++");
    log.clear();
    run("true");
    CHECK(log == "121212"); // spawn, started, exited, in the order of adding
  }

  TEST_CASE("audit: a spawn that fails is seen before and after [K150]") {
    if (!in_own_process()) {
      return;
    }
    recorder& events = record();
    const leak_check leaks;
    for (const start_form& each : all_ways()) {
      CAPTURE(each.name);
      events.take();
      CHECK_THROWS_AS(each.start({"no-such-program"}), spawn_error);
      const std::vector<seen_event> seen = events.take();
      REQUIRE(seen.size() == 2);
      CHECK(seen[0].kind == spawn);
      CHECK(seen[1].kind == failed);
      CHECK(seen[1].id == seen[0].id);
      CHECK(seen[1].error.find("no-such-program") != std::string::npos);
    }
  }

  TEST_CASE("audit: what a launcher of the user's throws is no event's error unless it is an "
            "exception [C72]") {
    if (!in_own_process()) {
      return;
    }
    struct odd final : launcher {
      launched_child start(const command&) override { throw 7; }
    };
    recorder& events = record();
    const command cmd = command("true").launcher(std::make_shared<odd>());
    for (const start_form& each : all_ways()) {
      CAPTURE(each.name);
      CHECK_THROWS_AS(each.start(cmd), int);
      const std::vector<seen_event> seen = events.take();
      REQUIRE(seen.size() == 2);
      CHECK(seen[1].kind == failed);
      CHECK(seen[1].error.empty());
    }
  }

  TEST_CASE("audit: a start that is cancelled raises as many ends as beginnings [C72]") {
    if (!in_own_process()) {
      return;
    }
    warm_up();
    recorder& events = record();
    const std::size_t count = 20;
    std::size_t alive = 0;
    {
      asio::io_context context;
      std::vector<asio::cancellation_signal> signals(count);
      std::vector<process> children;
      for (asio::cancellation_signal& each : signals) {
        async_spawn(
            context, forever(),
            asio::bind_cancellation_slot(each.slot(), [&](std::exception_ptr error, process child) {
              if (!error) {
                ++alive;
                children.push_back(std::move(child));
              }
            }));
      }
      CHECK(events.count(spawn) == count);
      for (asio::cancellation_signal& each : signals) {
        each.emit(asio::cancellation_type::terminal);
      }
      context.run();
    }
    CHECK(eventually([&] {
      return events.count(started) + events.count(failed) == count &&
             events.count(exited) == events.count(started);
    }));
    CHECK(events.count(dropped_alive) == alive); // nobody dropped those that were cancelled
  }

  TEST_CASE("audit: an exit is told once, whoever reaps the child [C72]") {
    if (!in_own_process()) {
      return;
    }
    recorder& events = record();
    const leak_check leaks;
    events.take();
    const kinds plain{spawn, started, exited};
    asio::io_context context;
    const auto once = [&](const char* what, const kinds& expected) {
      CAPTURE(what);
      CHECK(events.until_exit() == expected);
    };
    {
      process child(context, "true");
      child.wait();
      child.wait();
      once("wait", plain);
    }
    {
      process child(context, "true");
      for (int i = 0; i < 2; ++i) {
        child.async_wait([&](error_code, exit_status) { CHECK(events.count(exited) == 1); });
      }
      context.run();
      once("async_wait", plain);
    }
    {
      process child(context, "true");
      CHECK(has_ended(child));
      CHECK(child.poll() == 0);
      CHECK(child.poll() == 0);
      once("poll", plain);
    }
    {
      process child(context, "true");
      CHECK(has_ended(child));
      child.terminate();
      once("send_signal", plain);
    }
    {
      process child(context, command("echo", "x").capture_output());
      CHECK(child.communicate().out == "x\n");
      once("communicate", plain);
    }
    {
      process child(context, command("echo", "x").capture_output());
      child.async_communicate([](error_code, const communicate_result&) {});
      context.restart();
      context.run();
      once("async_communicate", plain);
    }
    {
      process child(context, forever());
      child.async_stop(1h, [](error_code ec, const stop_result&) { CHECK_FALSE(ec); });
      context.restart();
      context.run();
      once("async_stop", plain);
    }
    CHECK_THROWS_AS(run(forever().timeout(1ms)), timeout_expired);
    once("run, timed out", plain);
    async_run(context, forever().timeout(1ms), [](std::exception_ptr error, completed_process) {
      CHECK_THROWS_AS(std::rethrow_exception(error), timeout_expired);
    });
    context.restart();
    context.run();
    once("async_run, timed out", plain);
    {
      asio::io_context gone;
      async_run(gone, forever(), [](std::exception_ptr, completed_process) {});
      gone.run_one(); // it has started
    }
    once("a run whose loop goes", {spawn, started, dropped_alive, exited});
    {
      process child(context, "true");
      CHECK(has_ended(child));
      CHECK_THROWS_AS(child.release(), system_error);
      once("release that comes too late", plain);
    }
    {
      process child(context, forever());
      REQUIRE(::kill(child.pid(), SIGKILL) == 0);
      REQUIRE(::waitpid(child.pid(), nullptr, 0) == child.pid()); // stolen
      child.wait();
      once("status taken by somebody else", plain);
    }
    process(context, "true").detach();
    once("reaper, detached", plain);
    {
      const process child(context, "true");
      CHECK(has_ended(child));
    }
    once("drop of one that has ended", plain);
    { const process child(context, forever()); }
    once("reaper, dropped", {spawn, started, dropped_alive, exited});
    CHECK(eventually([] { return !has_children(); }));
    CHECK(events.take().empty());
  }

  TEST_CASE("audit: a process object that goes while its child runs says so once, then comes the "
            "exit [K104]") {
    if (!in_own_process()) {
      return;
    }
    recorder& events = record();
    const leak_check leaks;
    events.take();
    asio::io_context context;
    pid_type pid = -1;
    for (const drop_policy policy :
         {drop_policy::kill, drop_policy::terminate, drop_policy::detach}) {
      {
        process child(context, forever().drop(policy));
        process moved(std::move(child));
        pid = moved.pid();
      }
      if (policy == drop_policy::detach) {
        REQUIRE(::kill(pid, SIGTERM) == 0);
      }
      CHECK(eventually([&] { return events.count(exited) == 1; }));
      const std::vector<seen_event> seen = events.take();
      REQUIRE(seen.size() == 4);
      CHECK(seen[2].kind == dropped_alive);
      CHECK(seen[2].thread == std::this_thread::get_id());
      CHECK(seen[3].kind == exited);
      CHECK(seen[3].id == seen[0].id);
      CHECK(seen[3].pid == pid);
      CHECK(seen[3].cmd == seen[0].cmd);
      CHECK(seen[3].status ==
            exit_status::from_signal(policy == drop_policy::kill ? SIGKILL : SIGTERM));
    }
    { const process never; }
    {
      process child(context, forever());
      const released_child mine = child.release();
      REQUIRE(::kill(mine.pid, SIGKILL) == 0);
      REQUIRE(::waitpid(mine.pid, nullptr, 0) == mine.pid);
    }
    CHECK(events.take_kinds() == kinds{spawn, started}); // the rest is the caller's
  }

  TEST_CASE("audit: a hook may use the same process, start children and drop some [C72]") {
    if (!in_own_process()) {
      return;
    }
    const watchdog guard; // with a lock held it would wait for ever
    asio::io_context context;
    process* child = nullptr;
    static std::atomic<pid_type> watched = -1; // the reaper tells of others when all this has gone
    int told = 0;
    thread_local bool inside = false; // the children of the hook raise events too
    add_audit_hook([&](const audit_event& event) {
      if (inside || std::exchange(inside, true)) {
        return;
      }
      if (event.kind == exited && event.pid == watched) {
        CHECK(child->status() == event.status);
        CHECK(child->wait() == event.status);
        CHECK(child->poll() == 0);
        child->send_signal(SIGTERM);
        CHECK(child->captured().err.empty());
        child->async_wait([&](error_code ec, exit_status) { told += ec ? 0 : 1; });
        run("true");
        process(context, forever()); // leaves it to the reaper
        ++told;
      }
      inside = false;
      throw veto(); // ignored
    });
    const std::vector<std::function<void()>> calls{
        [&] { child->communicate(); },
        [&] {
          child->async_communicate([](error_code, const communicate_result&) {});
          context.restart();
          context.run();
        }};
    for (const auto& call : calls) {
      told = 0;
      inside = true; // the spawn is not what this is about
      process current(context, command("echo", "x").out(piped));
      inside = false;
      child = &current;
      watched = current.pid();
      call();
      context.restart();
      context.run();
      CHECK(told == 2);
      watched = -1;
    }
  }

  TEST_CASE("audit: a hook may drop a child while the reaper has no descriptors [T34]") {
    if (!in_own_process_without_sanitizer()) {
      return;
    }
    const watchdog guard;
    asio::io_context context;
    const rlimit few{40, 40};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    std::optional<process> first;
    std::optional<process> second;
    std::atomic<int> exits = 0;
    add_audit_hook([&](const audit_event& event) {
      if (event.kind == exited && ++exits == 1) {
        second.reset();
      }
    });
    first.emplace(context, forever().drop(drop_policy::detach));
    second.emplace(context, forever());
    const pid_type pid = first->pid();
    std::vector<unique_handle> all;
    for (int taken = 0; (taken = ::open("/", O_PATH | O_CLOEXEC)) >= 0;) {
      all.emplace_back(taken);
    }
    first.reset();
    REQUIRE(::kill(pid, SIGKILL) == 0);
    CHECK(eventually([&] { return exits == 2; }));
  }

  TEST_CASE("audit: a child that was started without a hook raises nothing [C72]") {
    if (!in_own_process()) {
      return;
    }
    asio::io_context context;
    process child(context, "true");
    recorder& events = record();
    child.wait();
    CHECK(events.take().empty());
  }

  TEST_CASE("audit: hooks may be added while other threads spawn [C72]") {
    if (!in_own_process()) {
      return;
    }
    warm_up();
    recorder& events = record();
    constexpr int count = times(50);
    static std::atomic<int> calls;      // static, as a hook may outlive its case
    thread_local bool counting = false; // the reaper may still be telling of the last exits
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([] {
        asio::io_context context;
        for (int j = 0; j < count; ++j) {
          run("true");
          process(context, "true");
        }
      });
    }
    for (int i = 0; i < 20; ++i) {
      add_audit_hook([](const audit_event&) { calls += counting; });
    }
    for (std::thread& each : threads) {
      each.join();
    }
    const auto all = static_cast<std::size_t>(8 * count);
    CHECK(eventually([&] { return events.count(exited) == all; }));
    CHECK(events.count(spawn) == all);
    CHECK(events.count(started) == all);
    counting = true;
    run("true");
    CHECK(calls == 20 * 3); // none was lost
  }

  TEST_CASE("audit: the copy of a process that forks has its hooks [C72]") {
    if (!in_own_process() || sanitized) { // TSan's run-time does not survive a fork with threads
      return;
    }
    warm_up();
    recorder& events = record();
    run("true");
    CHECK(events.take_kinds() == kinds{spawn, started, exited});
    const pid_t copy = ::fork();
    REQUIRE(copy >= 0);
    if (copy == 0) {
      run("true");
      asio::io_context context;
      process(context, "true").detach();
      const bool all = eventually([&] { return events.count(exited) == 2; });
      ::_exit(all && events.count(spawn) == 2 ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(copy, &status, 0) == copy);
    CHECK(status == 0);
    CHECK(events.take().empty());
  }

  TEST_CASE("verbose: a line at the start and one at the end, each in one write [A63]") {
    if (!in_own_process()) {
      return;
    }
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC | O_DIRECT) == 0); // a read gives what one write wrote
    const unique_handle read_end(ends[0]);
    const unique_handle own_stderr(::dup(STDERR_FILENO));
    REQUIRE(::dup2(ends[1], STDERR_FILENO) >= 0);
    ::close(ends[1]);
    run(command("sh", "-c", "exit 4", "\x1b[2J").verbose());
    try {
      run(command("no-such-program").verbose());
    } catch (const spawn_error&) {
    }
    run(command("true"));
    {
      asio::io_context context;
      process(context, command("true").verbose()).detach();
    }
    CHECK(eventually([] { return !has_children(); }));
    const auto packet = [&] {
      char buffer[4096];
      const ssize_t n = readable(read_end.get()) ? ::read(read_end.get(), buffer, 4096) : 0;
      return std::string(buffer, n < 0 ? 0 : static_cast<std::size_t>(n));
    };
    std::vector<std::string> lines;
    for (int i = 0; i < 6; ++i) {
      lines.push_back(packet());
    }
    ::dup2(own_stderr.get(), STDERR_FILENO);
    const std::string begin = "$ sh -c 'exit 4' $'\\033[2J'";
    CHECK(lines[0] == begin + '\n');
    CHECK(lines[1].starts_with(begin + ": exited with 4 after "));
    CHECK(lines[1].ends_with(" s\n"));
    CHECK(lines[2] == "$ no-such-program\n");
    CHECK(plain_text(lines[3]) ==
          "$ no-such-program: cannot start 'no-such-program': exec: No such file or "
          "directory\n");
    CHECK(lines[4] == "$ true\n");
    CHECK(lines[5].starts_with("$ true: exited with 0 after "));
    pollfd entry{read_end.get(), POLLIN, 0};
    CHECK(::poll(&entry, 1, 0) <= 1);
    CHECK((entry.revents & POLLIN) == 0);
  }

  TEST_CASE("verbose: a stderr that nobody reads ends nothing [T38]") {
    if (!in_own_process()) {
      return;
    }
    test_pipe gone;
    gone.read_end.reset();
    const unique_handle own_stderr(::dup(STDERR_FILENO));
    REQUIRE(::dup2(gone.write_end.get(), STDERR_FILENO) >= 0);
    const exit_status status = run(command("true").verbose()).status;
    ::dup2(own_stderr.get(), STDERR_FILENO);
    CHECK(status.success());
  }

} // TEST_SUITE
