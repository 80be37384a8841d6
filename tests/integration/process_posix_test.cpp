// process, beside what only POSIX has: signals that interrupt, forks, steps of a child that stall.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "own_process.hpp"
#include "platform.hpp"
#include "stalled_start.hpp"

#include <asio/io_context.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>
#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <exception>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace subproc;
using namespace subproc::test;
using namespace std::chrono_literals;

namespace {

std::string info_of(int descriptor, const std::string& key) {
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(descriptor));
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with(key + ":\t")) {
      return line.substr(key.size() + 2);
    }
  }
  return {};
}

} // namespace

TEST_SUITE("process") {

  TEST_CASE("process: usage tells what the child used") {
    const leak_check leaks;
    asio::io_context context;
    process idle(context, steps({"exit:0"}));
    idle.wait();
    CHECK(idle.usage().max_resident_bytes > 100'000);
    CHECK(idle.usage().minor_faults > 0);
    process busy(context, shell("i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done"));
    busy.wait();
    const auto total = [](const process& p) { return p.usage().user_time + p.usage().system_time; };
    CHECK(total(busy) > total(idle));
  }

  TEST_CASE("process: release gives the child to the caller, who reaps it") {
    const leak_check leaks;
    asio::io_context context;
    const test_pipe gate;
    process child(context,
                  steps({"byte:9", "exit:8"}).in(piped).map_fds({{9, gate.read_end.get()}}));
    error_code waited;
    child.async_wait([&](error_code ec, exit_status) { waited = ec; });
    const int pid = child.pid();

    released_child mine = child.release();
    CHECK(mine.pid == pid);
    if (platform_has(feature::pidfd)) {
      CHECK(info_of(mine.handle.get(), "Pid") == std::to_string(pid));
    }
    CHECK(child.pid() == -1);
    CHECK_FALSE(child.in().is_open());
    context.run();
    CHECK(waited == asio::error::operation_aborted);

    REQUIRE(::write(gate.write_end.get(), "x", 1) == 1);
    siginfo_t info{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) == 0);
    CHECK(info.si_code == CLD_EXITED);
    CHECK(info.si_status == 8);
  }

  TEST_CASE("process: the loop turns while an open or a step of the child stalls [T7]") {
    const leak_check leaks;
    command cmd = steps({"exit:3"});
    SUBCASE("in the open of a file") { // a FIFO opens once it has a reader
      const own_folder folder;
      const std::string fifo = folder / "fifo";
      REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
      const auto let_go = [&] { ::close(::open(fifo.c_str(), O_RDONLY | O_CLOEXEC)); };
      CHECK(start_while_the_loop_turns(cmd.out(file(fifo)), let_go) == exit_status::from_code(3));
    }
    SUBCASE("between fork and exec") {
      test_pipe gate;
      static int descriptor = -1;
      descriptor = gate.read_end.get();
      cmd.pre_exec({[](void* from) {
                      char byte = 0;
                      return ::read(*static_cast<int*>(from), &byte, 1) == 1 ? 0 : EIO;
                    },
                    &descriptor});
      const auto let_go = [&] { REQUIRE(write_byte(gate)); };
      CHECK(start_while_the_loop_turns(cmd, let_go) == exit_status::from_code(3));
    }
  }

  TEST_CASE("process: a program that has forked starts and reaps as before") {
    if (sanitized || !in_own_process()) { // their run-times do not start threads after a fork
      return;
    }
    warm_up(); // the threads of the parent
    const pid_t copy = ::fork();
    if (copy == 0) {
      ::alarm(30);
      asio::io_context context;
      bool good = false;
      async_spawn(context, steps({"exit:0"}), [&](std::exception_ptr error, process child) {
        good = !error && child.wait().success();
      });
      context.run();
      process(context, steps({"byte:0"}).in(piped)); // dropped
      ::_exit(good && eventually([] { return !has_children(); }) ? 0 : 1);
    }
    int status = -1;
    CHECK(::waitpid(copy, &status, 0) == copy);
    CHECK(status == 0);
  }

  volatile sig_atomic_t alarms = 0;

  TEST_CASE("process: signals that interrupt every call do no harm [T35] [K61]") {
    const leak_check leaks;
    struct sigaction action {};
    action.sa_handler = [](int) { alarms = alarms + 1; };
    action.sa_flags = 0; // no SA_RESTART: calls end with EINTR
    struct sigaction before {};
    REQUIRE(::sigaction(SIGALRM, &action, &before) == 0);
    const itimerval every{{0, 1000}, {0, 1000}};
    REQUIRE(::setitimer(ITIMER_REAL, &every, nullptr) == 0);

    const int at_start = alarms;
    const std::string big = pattern(1'000'000);
    asio::io_context context;
    int rounds = 0;
    while (alarms < at_start + 50 || rounds < 5) {
      ++rounds;
      process echo(context, steps({"echo"}).in(piped).out(piped));
      communicate_result result;
      echo.async_communicate(big, 1h,
                             [&](error_code, communicate_result r) { result = std::move(r); });
      context.restart();
      context.run();
      CHECK(result.out == big);
      process blocking(context, steps({"echo"}).in(piped).out(piped));
      CHECK(blocking.communicate(big, 1h).out == big);
      process slow(context, command("sleep", "0.01"));
      CHECK(slow.wait() == exit_status::from_code(0));
      process timed(context, steps({"read:1"}).in(piped));
      CHECK_THROWS_AS(timed.wait(3ms), timeout_expired);
      process by_hand(context, steps({"read:5", "say:done"}).in(piped).out(piped));
      asio::write(by_hand.in(), asio::buffer("12345", 5));
      std::array<char, 5> text;
      CHECK(asio::read(by_hand.out(), asio::buffer(text)) == 5);
      exit_status spawned;
      async_spawn(context, steps({"exit:9"}), [&](std::exception_ptr error, process child) {
        CHECK(error == nullptr);
        spawned = child.wait();
      });
      context.restart();
      context.run();
      CHECK(spawned.exit_code() == 9);
      CHECK(run(steps({"echo"}).input("abc").out(piped)).out == "abc");
      CHECK(spawn_error_of([] { run(command("/no/such/program")); }).code() ==
            std::errc::no_such_file_or_directory);
    }
    const itimerval never{};
    ::setitimer(ITIMER_REAL, &never, nullptr);
    ::sigaction(SIGALRM, &before, nullptr);
  }

} // TEST_SUITE
