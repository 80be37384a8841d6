// What is so because children are known by pidfds and started by clone3.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "own_process.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

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

TEST_SUITE("pidfd") {

  TEST_CASE("process: the native handle is a pidfd of the child that closes on exec") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1"}).in(piped));
    CHECK(info_of(child.native_handle(), "Pid") == std::to_string(child.pid()));
    CHECK((::fcntl(child.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK_FALSE(readable(child.native_handle(), 0s));
    child.in().close();
    CHECK(readable(child.native_handle()));
  }

  TEST_CASE("exit_watch: with pidfds the library leaves SIGCHLD alone [T27]") {
    struct sigaction action {};
    warm_up();
    REQUIRE(::sigaction(SIGCHLD, nullptr, &action) == 0);
    CHECK((action.sa_handler == SIG_DFL));
  }

  TEST_CASE("exit_watch: want of a descriptor is not taken for a kernel without group signals") {
    if (!in_own_process_without_sanitizer()) {
      return;
    }
    // The first start of a group asks the kernel, for which it gets no descriptor here.
    {
      std::vector<unique_handle> fill;
      rlimit before{};
      ::getrlimit(RLIMIT_NOFILE, &before);
      const rlimit few{100, before.rlim_max};
      REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
      for (int number = 0; (number = ::dup(0)) >= 0;) {
        fill.emplace_back(number);
      }
      fill.pop_back(); // for the pidfd of the child
      CHECK(run(command("true").process_group(0)).status.success());
      ::setrlimit(RLIMIT_NOFILE, &before);
    }
    const unique_handle self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    constexpr unsigned to_group = 4; // PIDFD_SIGNAL_PROCESS_GROUP
    const bool kernel_can =
        ::syscall(SYS_pidfd_send_signal, self.get(), 0, nullptr, to_group) == 0 || errno == ESRCH;
    asio::io_context context;
    process leader(context, command("true").process_group(0));
    leader.wait();
    // Kept unreaped only where its number is needed for signals.
    CHECK((::kill(leader.pid(), 0) == 0) == !kernel_can);
  }

  TEST_CASE("descriptors: low numbers that the program has closed and opened are its own") {
    if (!in_own_process()) {
      return;
    }
    const test_pipe gate;
    const auto start_with_high = [&] {
      const unique_handle high(::fcntl(gate.read_end.get(), F_DUPFD_CLOEXEC, 200));
      CHECK(run(command("true").in(fd(high.get()))).status.success());
    };
    const std::vector<int> before = open_descriptors();
    start_with_high();
    for (const int number : open_descriptors()) {
      if (!std::binary_search(before.begin(), before.end(), number)) {
        ::close(number); // as a daemon closes all it does not know
      }
    }
    std::vector<unique_handle> own;
    struct stat is {};
    for (int i = 0; i < 60; ++i) {
      own.emplace_back(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
    }
    REQUIRE(::fstat(own.back().get(), &is) == 0);
    start_with_high();
    for (const unique_handle& each : own) {
      struct stat now {};
      CHECK(::fstat(each.get(), &now) == 0);
      CHECK(now.st_ino == is.st_ino);
    }
  }

} // TEST_SUITE
