// What is so because the platform has POSIX and no more.

#include <subproc/limits.hpp>
#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "own_process.hpp"
#include "refused_calls.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

using namespace subproc;
using namespace subproc::test;

namespace {

// Among many, one far above the others, all open on exec for any careless child to get.
void check_no_descriptor_leaks() {
  const unique_handle low(::dup(0));
  const unique_handle high(::fcntl(0, F_DUPFD, 900));
  REQUIRE(high);
  test_pipe kept;
  for (const launcher_kind kind : {launcher_kind::vfork, launcher_kind::fork}) {
    const std::string open = check_output(command(helper("descriptors"))
                                              .map_fds({{7, kept.write_end.get()}})
                                              .launcher(make_launcher(kind)));
    CHECK_MESSAGE(std::count(open.begin(), open.end(), '\n') == 4, open);
  }
}

} // namespace

TEST_SUITE("plain_posix") {

  TEST_CASE("plain_posix: what the platform lacks is refused by name, before anything starts") {
    const leak_check leaks;
    const std::vector<std::pair<command, std::string>> lacking{
        {command("true").die_with_parent(), "die_with_parent"},
        {command("true").out(piped).pipe_size(4096), "pipe_size"},
        {command("true").with(limits{.cpus = {{0}}}), "limits.cpus"},
        {command("true").with(limits{.oom_score_adj = 1}), "limits.oom_score_adj"},
    };
    for (const auto& [cmd, option] : lacking) {
      CAPTURE(option);
      const spawn_error refused = spawn_error_of([&cmd = cmd] { run(cmd); });
      CHECK(refused.step() == spawn_step::arguments);
      CHECK(refused.code() == std::errc::invalid_argument);
      CHECK(refused.path() == option);
      asio::io_context context;
      CHECK_THROWS_AS(process(context, cmd), spawn_error);
    }
  }

  TEST_CASE("plain_posix: children are made by vfork, those with credentials or a hook by fork") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, command("true"));
    CHECK(child.launched_by() == launcher_kind::vfork);
    CHECK(child.native_handle() == -1);
    CHECK(child.wait().success());
    CHECK(run(command("true").pre_exec({succeed})).launched_by == launcher_kind::fork);
    CHECK_THROWS_AS(make_launcher(launcher_kind::clone3), system_error);
  }

  TEST_CASE("plain_posix: no child gets more, by each way to close the others [T8] [T14]") {
    if (own_part() == "close_range") {
      refuse_from_now_on({{SYS_close_range}}, ENOSYS);
    } else if (own_part() == "list") {
      refuse_from_now_on({{SYS_close_range}, {SYS_getdents64}}, ENOSYS);
    }
    if (own_part() == "list") { // which a child cannot read either, so it looks at one
      const unique_handle low(::dup(0));
      constexpr int not_open = 99; // what steps ends with
      const std::string number = std::to_string(low.get());
      CHECK(run(steps({"close:" + number}).err(null)).status.exit_code() == not_open);
      CHECK(run(steps({"close:" + number}).close_fds(false)).status.success());
      return;
    }
    if (!own_part().empty()) {
      check_no_descriptor_leaks();
      return;
    }
    const leak_check leaks;
    check_no_descriptor_leaks();
    run_part("close_range");
    run_part("list");
  }

#ifdef SYS_vfork
  TEST_CASE("plain_posix: without vfork the start is refused, and fork works [T8]") {
    if (own_part().empty()) {
      const leak_check leaks;
      run_part("1");
      return;
    }
    refuse_from_now_on({{SYS_vfork}}, EPERM);
    const spawn_error refused = spawn_error_of([] { run(command("true")); });
    CHECK(refused.step() == spawn_step::fork);
    CHECK(refused.code() == std::errc::operation_not_permitted);
    const auto by_fork = make_launcher(launcher_kind::fork);
    CHECK(run(command("cat").input("text").out(piped).launcher(by_fork)).out == "text");
    CHECK_FALSE(has_children());
  }
#endif

} // TEST_SUITE
