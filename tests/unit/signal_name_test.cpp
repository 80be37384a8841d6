#include <subproc/exit_status.hpp>

#include "../printing.hpp"

#include <csignal>
#include <set>
#include <string>

namespace {

using subproc::signal_name;

TEST_SUITE("signal_name") {
  TEST_CASE("signal_name: the ordinary ones have their names") {
    CHECK(signal_name(SIGHUP) == "SIGHUP");
    CHECK(signal_name(SIGINT) == "SIGINT");
    CHECK(signal_name(SIGABRT) == "SIGABRT");
    CHECK(signal_name(SIGKILL) == "SIGKILL");
    CHECK(signal_name(SIGTERM) == "SIGTERM");
    CHECK(signal_name(SIGCHLD) == "SIGCHLD");
    CHECK(signal_name(SIGSYS) == "SIGSYS");
  }

  TEST_CASE("signal_name: 1 to 31 each have a name of their own") {
    std::set<std::string> names;
    for (int number = 1; number <= 31; ++number) {
      const std::string name = signal_name(number);
      CAPTURE(number);
      CHECK(name.starts_with("SIG"));
      CHECK(names.insert(name).second);
    }
  }

  TEST_CASE("signal_name: real-time signals count from SIGRTMIN") {
    CHECK(signal_name(SIGRTMIN) == "SIGRTMIN");
    CHECK(signal_name(SIGRTMIN + 1) == "SIGRTMIN+1");
    CHECK(signal_name(SIGRTMAX) == "SIGRTMIN+" + std::to_string(SIGRTMAX - SIGRTMIN));
    CHECK(to_string(subproc::exit_status::from_signal(SIGRTMIN + 1)) ==
          "died with SIGRTMIN+1 (" + std::to_string(SIGRTMIN + 1) + ")");
  }

  TEST_CASE("signal_name: what is no signal has no name") {
    CHECK(signal_name(0).empty());
    CHECK(signal_name(-1).empty());
    CHECK(signal_name(SIGRTMAX + 1).empty());
    CHECK(signal_name(9876543).empty());
  }
}

} // namespace
