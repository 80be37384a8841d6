// What is done where the kernel, or a filter around the program, refuses a system call. Each case
// runs itself again in a program of its own that takes calls away from itself for real.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "own_process.hpp"
#include "refused_calls.hpp"

#include <asio/io_context.hpp>
#include <asio/read_until.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

// For libc, clone3 is missing only if the error is ENOSYS: with any other one it makes no threads.
// The library's have to be there before, and it must not have met clone3 until then.
void start_library_threads() {
  const auto by_vfork = make_launcher(launcher_kind::vfork);
  asio::io_context context;
  test_pipe gate;
  process(context, command("cat").in(fd(gate.read_end.get())).out(null).launcher(by_vfork))
      .detach();
  gate = test_pipe();
  async_spawn(context, command("true").launcher(by_vfork), [](std::exception_ptr, process) {});
  context.run();
  REQUIRE(eventually([] { return !has_children(); }));
}

void refuse_all(std::vector<refusal> calls, int error) {
  const auto clone3 = std::find_if(calls.begin(), calls.end(),
                                   [](const refusal& each) { return each.call == SYS_clone3; });
  if (error != ENOSYS && clone3 != calls.end()) {
    calls.erase(clone3);
    refuse_from_now_on(calls, error);
    start_library_threads();
    calls = {{SYS_clone3}};
  }
  refuse_from_now_on(calls, error);
}

/// What the library must be seen to use.
struct expectation {
  launcher_kind launcher = launcher_kind::clone3;
  bool pidfd = true;
};

command family(const char* leader, const char* member) {
  return command(helper("family"), leader, member).out(piped).process_group(0);
}

void check_run(const expectation& expected) {
  const std::string input = pattern(300'000);
  const completed_process done = run(steps({"echo", "warn:end"}).input(input).capture_output());
  CHECK(done.status.success());
  CHECK(done.out == input);
  CHECK(done.err == "end\n");
  CHECK(done.launched_by == expected.launcher);
  CHECK(run(steps({"exit:7"})).status.exit_code() == 7);
  CHECK(run(steps({"raise:" + std::to_string(SIGTERM)})).status.signal() == SIGTERM);
  const unique_handle own(::dup(0)); // without close-on-exec, for any careless child to get
  const std::string open = check_output(command(helper("descriptors")));
  CHECK_MESSAGE(std::count(open.begin(), open.end(), '\n') == 3, open);
  // Credentials and hooks keep their own way.
  CHECK(run(command("true").pre_exec({succeed})).launched_by == launcher_kind::fork);
}

void check_failed_start() {
  for (int i = 0; i < 20; ++i) {
    const spawn_error missing = spawn_error_of([] { run(command("/no/such").capture_output()); });
    CHECK(missing.code() == std::errc::no_such_file_or_directory);
    CHECK(missing.step() == spawn_step::exec);
    CHECK(missing.path() == "/no/such");
    const spawn_error nowhere = spawn_error_of([] { run(command("true").cwd("/nowhere")); });
    CHECK(nowhere.step() == spawn_step::chdir);
  }
}

void check_time_out() {
  try {
    run(command(helper("forever")).out(piped).timeout(50ms));
    FAIL("no exception");
  } catch (const timeout_expired& error) {
    CHECK(error.result().status.signal() == SIGKILL);
  }
}

void check_wait(const expectation& expected) {
  asio::io_context context;
  process child(context, steps({"byte:0", "exit:5"}).in(piped));
  CHECK(child.launched_by() == expected.launcher);
  CHECK((child.native_handle() >= 0) == expected.pidfd);
  exit_status seen;
  child.async_wait([&](error_code ec, exit_status status) {
    CHECK_FALSE(ec);
    seen = status;
  });
  context.poll();
  CHECK(seen.unknown());
  child.in().close();
  context.run();
  CHECK(seen.exit_code() == 5);
}

// A drop kills and reaps as well.
void check_drop() {
  asio::io_context context;
  const process dropped(context, steps({"byte:0"}).in(piped));
  CHECK(has_children());
}

void check_stop(const char* leader, bool forced) {
  CAPTURE(leader);
  asio::io_context context;
  process group(context, family(leader, forced ? "ignores" : "obeys"));
  std::string line;
  asio::read_until(group.out(), asio::dynamic_buffer(line), '\n');
  stop_result stopped;
  // Long enough for those who obey; the others are killed after it.
  group.async_stop(forced ? duration(20ms) : duration(30s), [&](error_code ec, stop_result got) {
    CHECK_FALSE(ec);
    stopped = std::move(got);
  });
  context.run();
  CHECK(stopped.forced == forced);
  CHECK(stopped.survivors.empty());
  CHECK_FALSE(stopped.status.unknown());
  // Its member held this pipe as well: the end of the file means that it is gone.
  error_code ec;
  CHECK(group.out().read_some(asio::buffer(line), ec) == 0);
  CHECK(ec == asio::error::eof);
}

void check_many() {
  constexpr int most = times(100);
  asio::io_context context;
  int good = 0;
  for (int i = 0; i < most; ++i) {
    const std::string number = std::to_string(i);
    async_run(context, steps({"echo", "exit:" + number}).input(number).out(piped),
              [&good, i](std::exception_ptr error, const completed_process& done) {
                good += !error && done.status.exit_code() == i && done.out == std::to_string(i);
              });
  }
  context.run();
  CHECK(good == most);
}

void check_all(const expectation& expected) {
  run(command("true").pre_exec({succeed})); // starts the SIGCHLD watch, if there has to be one
  const leak_check leaks;
  check_run(expected);
  check_failed_start();
  check_time_out();
  check_wait(expected);
  check_drop();
  check_stop("obeys", false);
  check_stop("leaves", true);
  check_many();
}

// Runs everything in a program that is refused these calls, by each error that such a refusal is
// known to have.
void check_without(const std::vector<refusal>& calls, const expectation& expected,
                   const std::vector<int>& errors = {ENOSYS, EPERM}) {
  if (const std::string part = own_part(); !part.empty()) {
    refuse_all(calls, std::stoi(part));
    check_all(expected);
    return;
  }
  const leak_check leaks;
  for (const int error : errors) {
    run_part(std::to_string(error));
  }
}

const std::vector<refusal> every_new_call{
    {SYS_clone3}, {SYS_pidfd_open}, {SYS_close_range}, {SYS_pidfd_send_signal}};

} // namespace

TEST_SUITE("fallback") {

  TEST_CASE("fallback: with every call there it is clone3 [T8]") { check_without({}, {}, {0}); }

  TEST_CASE("fallback: without clone3 it is vfork and a pidfd [T8]") {
    check_without({{SYS_clone3}}, {launcher_kind::vfork, true});
  }

  TEST_CASE("fallback: without pidfd_open the pidfd of clone3 is enough [T8]") {
    check_without({{SYS_pidfd_open}}, {});
  }

  TEST_CASE("fallback: without clone3 and pidfd_open it is vfork and SIGCHLD [T8] [K151]") {
    check_without({{SYS_clone3}, {SYS_pidfd_open}}, {launcher_kind::vfork, false});
  }

  TEST_CASE("fallback: without close_range all works and no child gets more [T8]") {
    check_without({{SYS_close_range}}, {});
  }

  TEST_CASE("fallback: without pidfd_send_signal all can be stopped [T8]") {
    check_without({{SYS_pidfd_send_signal}}, {});
  }

  TEST_CASE("fallback: without waitid by pidfd no status is lost [T8]") {
    constexpr int by_pidfd = 3; // P_PIDFD, younger than pidfd_open; a kernel without it says EINVAL
    check_without({{SYS_clone3}, {SYS_waitid, by_pidfd}}, {launcher_kind::vfork, false}, {EINVAL});
  }

  TEST_CASE("fallback: without any of the new calls all works [T8]") {
    check_without(every_new_call, {launcher_kind::vfork, false});
  }

  TEST_CASE("fallback: a mask of modes that is refused is an error, not forgotten") {
    if (!own_part().empty()) {
      refuse_from_now_on({{SYS_umask}}, EPERM);
      const spawn_error refused = spawn_error_of([] { run(command("true").umask(077)); });
      CHECK(refused.step() == spawn_step::umask);
      CHECK(refused.code() == std::errc::operation_not_permitted);
      CHECK(run(command("true")).status.success());
      return;
    }
    const leak_check leaks;
    run_part("1");
  }

  TEST_CASE("fallback: without close_range and a list of what is open no child gets more [T8]") {
    if (!own_part().empty()) {
      refuse_from_now_on({{SYS_close_range}, {SYS_getdents64}}, EPERM);
      const unique_handle careless(::dup(0)); // without close-on-exec
      const std::string number = std::to_string(careless.get());
      constexpr int not_open = 99; // what steps ends with
      CHECK(run(steps({"close:" + number}).err(null)).status.exit_code() == not_open);
      CHECK(run(steps({"close:" + number}).close_fds(false)).status.success());
      return;
    }
    const leak_check leaks;
    run_part("1");
  }

  TEST_CASE("fallback: when the wait itself fails the child is killed and the result is there") {
    if (!in_own_process_without_sanitizer()) {
      return;
    }
    // poll(2) refuses more entries than the limit of open files, whatever their number.
    class limiting final : public launcher {
    public:
      launched_child start(const command& cmd) override {
        launched_child started = default_launcher()->start(cmd);
        const rlimit few{2, 1024};
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
        return started;
      }
    };
    const command cmd =
        command(helper("forever")).out(piped).launcher(std::make_shared<limiting>());
    try {
      run(cmd);
      FAIL("no exception");
    } catch (const operation_error& error) {
      CHECK(error.code() == std::errc::invalid_argument);
      CHECK(error.result().status.signal() == SIGKILL);
    }
    CHECK_FALSE(has_children());
  }

#ifdef SYS_vfork
  TEST_CASE("fallback: without vfork it is clone3 [T8]") { check_without({{SYS_vfork}}, {}); }

  TEST_CASE("fallback: without clone3 and vfork the start is refused, and fork works [T8]") {
    if (const std::string part = own_part(); !part.empty()) {
      const int error = std::stoi(part);
      refuse_from_now_on({{SYS_clone3}, {SYS_vfork}}, error);
      if (const pid_t pid = ::vfork(); pid == 0) {
        ::_exit(0);
      } else if (pid > 0) {
        std::_Exit(left_out); // TSan's vfork is a fork
      }
      const std::vector<int> before = open_descriptors();
      for (int i = 0; i < 20; ++i) {
        const spawn_error refused = spawn_error_of([] { run(command("true").capture_output()); });
        CHECK(refused.step() == spawn_step::fork);
        CHECK(refused.code() == error_code(error, detail::system_category()));
      }
      CHECK_FALSE(has_children());
      CHECK(open_descriptors() == before);
      const auto by_fork = make_launcher(launcher_kind::fork);
      CHECK(run(command("cat").input("text").out(piped).launcher(by_fork)).out == "text");
      CHECK(spawn_error_of([&] { run(command("/no/such").launcher(by_fork)); }).step() ==
            spawn_step::exec);
      return;
    }
    const leak_check leaks;
    for (const int error : {ENOSYS, EPERM}) {
      run_part(std::to_string(error));
    }
  }
#endif

} // TEST_SUITE
