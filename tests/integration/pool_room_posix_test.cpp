// A pool where the system has no room for as many children as it may run.

#include <subproc/pool.hpp>

#include "children.hpp"
#include "own_process.hpp"
#include "run_part_as.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <exception>

#include <sys/resource.h>

using namespace subproc;
using namespace subproc::test;

namespace {

/// Runs 60 children, 40 at once, which wait until one was refused.
pool_summary run_many() {
  asio::io_context context;
  test_pipe gate;
  int given = 0;
  pool jobs(
      context, {.concurrency = 40},
      [&](command& next) {
        next = steps({"byte:3", "say:x"}).out(piped).map_fds({{3, gate.read_end.get()}});
        return given++ < 60 ? next_command::ready : next_command::end;
      },
      [](const pool_result& result) {
        CHECK(result.ok());
        CHECK(result.tries == 1);
        CHECK(result.process.out == "x\n");
      });
  pool_summary all;
  jobs.async_run([&](std::exception_ptr error, const pool_summary& summary) {
    CHECK_FALSE(error);
    all = summary;
  });
  while (jobs.summary().refused == 0) {
    context.run_one();
  }
  gate.write_end.reset();
  context.run();
  return all;
}

} // namespace

TEST_SUITE("pool") {

  TEST_CASE("pool: with few descriptors it runs as many as there is room for, and loses none") {
    if (!in_own_process_without_sanitizer()) {
      return;
    }
    const watchdog guard;
    const rlimit few{48, 48};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    const pool_summary all = run_many();
    CHECK(all.succeeded == 60);
    CHECK(all.refused > 0);
  }

  TEST_CASE("pool: with few processes it runs as many as there is room for, and loses none") {
    if (own_part().empty()) {
      run_part_as(54321, "1");
      return;
    }
    const watchdog guard;
    const rlimit few{20, 20};
    REQUIRE(::setrlimit(RLIMIT_NPROC, &few) == 0);
    const pool_summary all = run_many();
    CHECK(all.succeeded == 60);
    CHECK(all.refused > 0);
  }

} // TEST_SUITE
