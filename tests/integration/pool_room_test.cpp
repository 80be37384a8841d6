// A pool where the system has no room for as many children as it may run.

#include <subproc/pool.hpp>
#include <subproc/testing.hpp>

#include "children.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

/// Children that last an hour of the clock, on a system that has room for five.
class small_system {
public:
  explicit small_system(const testing::manual_clock& clock)
      : fake_(std::make_shared<testing::fake_launcher>(clock)) {
    fake_->on(command("job"), testing::script().delay(1h).out("x\n"));
    fake_->on([this](const command&) { return is_full(); },
              testing::script().cannot_start(std::errc::resource_unavailable_try_again,
                                             spawn_step::fork));
  }

  const std::shared_ptr<testing::fake_launcher>& launcher() const { return fake_; }

private:
  bool is_full() {
    const auto calls = fake_->calls();
    const std::lock_guard lock(mutex_);
    const auto ended =
        std::ranges::count_if(calls, [](const auto& call) { return call.status.has_value(); });
    if (started_ - ended >= 5) {
      return true;
    }
    ++started_;
    return false;
  }

  std::shared_ptr<testing::fake_launcher> fake_;
  std::mutex mutex_;
  long long started_ = 0;
};

} // namespace

TEST_SUITE("pool") {

  TEST_CASE("pool: on a small system it runs as many as there is room for, and loses none") {
    const leak_check leaks;
    const watchdog guard;
    testing::manual_clock clock;
    const small_system system(clock);
    asio::io_context context;
    int given = 0;
    pool jobs(
        context, {.concurrency = 20},
        [&](command& next) {
          next = command("job").out(piped).launcher(system.launcher());
          return given++ < 30 ? next_command::ready : next_command::end;
        },
        [](const pool_result& result) {
          CHECK(result.ok());
          CHECK(result.tries == 1);
          CHECK(result.process.out == "x\n");
        });
    std::optional<pool_summary> all;
    jobs.async_run([&](std::exception_ptr error, const pool_summary& summary) {
      CHECK_FALSE(error);
      all = summary;
    });
    while (jobs.summary().refused == 0) {
      context.run_one();
    }
    while (!all) {
      clock.advance(1h);
      context.run_one_for(1ms);
    }
    CHECK(all->succeeded == 30);
    CHECK(all->refused > 0);
  }

} // TEST_SUITE
