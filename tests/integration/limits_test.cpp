#include <subproc/limits.hpp>

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "own_process.hpp"
#include "platform.hpp"
#include "refused_calls.hpp"
#include "run_part_as.hpp"

#include <doctest/doctest.h>

#include <array>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace subproc;
using namespace subproc::test;

namespace {

constexpr std::array launchers{launcher_kind::none, launcher_kind::vfork, launcher_kind::fork};
constexpr int nobody_here = 54321;

std::string text_of(const char* path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// The soft and the hard limit in /proc/PID/limits, as in "64 128".
std::string limit_in(const std::string& table, const std::string& row) {
  const std::size_t at = table.find(row);
  REQUIRE(at != std::string::npos);
  std::istringstream fields(table.substr(at + row.size()));
  std::string soft;
  std::string hard;
  fields >> soft >> hard;
  return soft + ' ' + hard;
}

// All that limits can change of this process.
std::string own_state() {
  cpu_set_t cpus;
  REQUIRE(::sched_getaffinity(0, sizeof cpus, &cpus) == 0);
  return text_of("/proc/self/limits") + text_of("/proc/self/oom_score_adj") +
         std::to_string(::getpriority(PRIO_PROCESS, 0)) + ' ' + std::to_string(CPU_COUNT(&cpus));
}

int first_cpu() {
  cpu_set_t cpus;
  REQUIRE(::sched_getaffinity(0, sizeof cpus, &cpus) == 0);
  int number = 0;
  while (!CPU_ISSET(number, &cpus)) {
    ++number;
  }
  return number;
}

void check_refused(const limits& what, std::errc code, const std::string& member) {
  for (const launcher_kind kind : launchers) {
    CAPTURE(to_string(kind));
    const command cmd = command("true").with(what).capture_output().launcher(make_launcher(kind));
    const spawn_error error = spawn_error_of([&] { run(cmd); });
    CHECK(error.step() == spawn_step::limits);
    CHECK(error.path() == member);
    CHECK(error.code() == code);
    CHECK(std::string(error.what()).find("a child: " + member + ": ") != std::string::npos);
  }
}

} // namespace

TEST_SUITE("limits") {

  TEST_CASE("limits: the child has them, and the caller keeps its own [A65] [A66]") {
    const leak_check leaks;
    const std::string before = own_state();
    const int cpu = first_cpu();
    limits all{.rlimits = {{"nofile", 64, 128},
                           {resource::core, 0, 0},
                           {"RLIMIT_FSIZE", 1'000'000, 2'000'000},
                           {"cpu", 100, 200}},
               .nice = 7};
    const bool more = platform_has(feature::cpus);
    if (more) {
      all.cpus = {{cpu}};
      all.oom_score_adj = 900;
    }
    const std::string show =
        "cat /proc/self/limits /proc/self/oom_score_adj; grep Cpus_allowed_list /proc/self/status;"
        "echo nice $(nice)";
    for (const launcher_kind kind : launchers) {
      CAPTURE(to_string(kind));
      const std::string got = check_output(shell(show).with(all).launcher(make_launcher(kind)));
      CHECK(limit_in(got, "Max open files") == "64 128");
      CHECK(limit_in(got, "Max core file size") == "0 0");
      CHECK(limit_in(got, "Max file size") == "1000000 2000000");
      CHECK(limit_in(got, "Max cpu time") == "100 200");
      if (more) {
        CHECK(got.find("\n900\n") != std::string::npos);
        CHECK(got.find("Cpus_allowed_list:\t" + std::to_string(cpu) + '\n') != std::string::npos);
      }
      CHECK(got.find("nice 7\n") != std::string::npos);
      CHECK(own_state() == before);
    }
  }

  TEST_CASE("limits: a soft limit alone leaves the hard one, and unlimited is none [A65]") {
    const leak_check leaks;
    const std::string own = limit_in(text_of("/proc/self/limits"), "Max open files");
    const std::string hard = own.substr(own.find(' '));
    const auto open_files = [](const limits& what) {
      return limit_in(check_output(command("cat", "/proc/self/limits").with(what)),
                      "Max open files");
    };
    CHECK(open_files({.rlimits = {{"nofile", 77}}}) == "77" + hard);
    CHECK(open_files({}) == own);
    const std::string core = check_output(
        command("cat", "/proc/self/limits").with(limits{.rlimits = {{"core", unlimited}}}));
    CHECK(limit_in(core, "Max core file size") == "unlimited unlimited");
  }

  TEST_CASE("limits: they bound the program [A65]") {
    const leak_check leaks;
    const limits small{.rlimits = {{"fsize", 4096}}};
    const unique_handle file(static_cast<int>(::syscall(SYS_memfd_create, "file", 1U)));
    const completed_process done = run(steps({"out:100000"}).out(fd(file.get())).with(small));
    CHECK(done.status.signal() == SIGXFSZ);
    CHECK(::lseek(file.get(), 0, SEEK_END) == 4096);
  }

  TEST_CASE("limits: fewer open files than are passed disturb no descriptor [T12]") {
    const auto check = [] {
      const unique_handle careless(::fcntl(0, F_DUPFD, 300)); // open on exec, above the limit
      test_pipe gate;
      for (const launcher_kind kind : launchers) {
        CAPTURE(to_string(kind));
        const std::string open =
            check_output(command(helper("descriptors"))
                             .map_fds({{200, gate.write_end.get()}, {5, gate.read_end.get()}})
                             .with(limits{.rlimits = {{"nofile", 4, 4}}})
                             .launcher(make_launcher(kind)));
        std::istringstream lines(open);
        std::vector<std::string> numbers;
        for (std::string line; std::getline(lines, line);) {
          numbers.push_back(line.substr(0, line.find(' ')));
        }
        CHECK(numbers == std::vector<std::string>{"0", "1", "2", "5", "200"});
      }
    };
    if (own_part().empty()) {
      const leak_check leaks;
      check();
      run_part("without close_range");
      return;
    }
    refuse_from_now_on({{SYS_close_range}}, ENOSYS);
    check();
  }

  TEST_CASE("limits: rights that the user will not have count for them [A65] [A66]") {
    if (::geteuid() != 0) {
      MESSAGE("left out: needs root");
      return;
    }
    const leak_check leaks;
    rlimit now{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &now) == 0);
    const std::uint64_t more = now.rlim_max + 1;
    const std::vector<std::pair<limits, std::string>> table{
        {{.nice = -3}, "-3\n"},
        {{.oom_score_adj = -400}, "-400\n"},
        {{.rlimits = {{"nofile", more, more}}}, std::to_string(more) + '\n'}};
    int allowed = 0;
    for (const auto& [privileged, shown] : table) {
      const command show =
          shell("id -u; case $0 in -3) nice;; -400) cat /proc/self/oom_score_adj;; "
                "*) ulimit -Hn; esac",
                shown.substr(0, shown.size() - 1))
              .with(privileged);
      try {
        run(command(show).out(null));
      } catch (const spawn_error& error) {
        MESSAGE("left out, not allowed here: ", std::string(error.what()));
        continue;
      }
      ++allowed;
      CHECK(check_output(command(show).user(nobody_here).group(nobody_here)) ==
            std::to_string(nobody_here) + '\n' + shown);
    }
    CHECK(allowed > 0);
  }

  TEST_CASE("limits: what the kernel refuses names the member, and leaves nothing [T4] [T5]") {
    if (own_part().empty()) {
      const leak_check leaks;
      if (platform_has(feature::cpus)) {
        check_refused({.cpus = {{8191}}}, std::errc::invalid_argument, "limits.cpus");
      }
      run_part_as(nobody_here, "1");
      return;
    }
    const leak_check leaks;
    const rlimit low{64, 128};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
    check_refused({.rlimits = {{"core", 0}, {"nofile", 64, 129}}},
                  std::errc::operation_not_permitted, "limits.nofile");
    check_refused({.rlimits = {{"nofile", 129}}}, std::errc::invalid_argument, "limits.nofile");
    check_refused({.nice = -1}, std::errc::permission_denied, "limits.nice");
    if (platform_has(feature::cpus)) {
      check_refused({.oom_score_adj = -999}, std::errc::permission_denied, "limits.oom_score_adj");
    }
  }

} // TEST_SUITE
