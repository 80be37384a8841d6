#include <pool_machine.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using detail::pool_machine;
using slot = pool_machine::slot;

namespace {

/// A machine with a clock that is moved by hand, and an endless source.
struct driven {
  explicit driven(const pool_options& options) : machine(options, 1) {}

  /// Starts all that may start now.
  std::vector<slot> start_all() {
    std::vector<slot> started;
    for (;;) {
      if (const auto next = machine.take_start(now)) {
        started.push_back(*next);
      } else if (machine.wants_command(now)) {
        machine.admitted();
      } else {
        return started;
      }
    }
  }

  bool end(slot job, failure_kind why = failure_kind::none, duration took = 1s) {
    return machine.finished(job, why, took, now);
  }

  std::vector<std::uint64_t> deliver_all() {
    std::vector<std::uint64_t> delivered;
    while (const auto next = machine.take_deliverable()) {
      delivered.push_back(machine.sequence(*next));
    }
    return delivered;
  }

  steady_clock::time_point now{1h};
  pool_machine machine;
};

constexpr auto never = steady_clock::time_point::max();

} // namespace

TEST_SUITE("pool_machine") {

  TEST_CASE("pool_machine: as many run as may, and one more is asked for when one ends") {
    driven jobs({.concurrency = 3});
    const auto first = jobs.start_all();
    CHECK(first.size() == 3);
    CHECK(jobs.machine.summary().running == 3);
    CHECK(jobs.end(first[1]));
    CHECK(jobs.deliver_all() == std::vector<std::uint64_t>{2});
    CHECK(jobs.start_all().size() == 1);
    CHECK(jobs.machine.wakes_at() == never);
  }

  TEST_CASE("pool_machine: results come as they end, or in the order of the input") {
    for (const bool ordered : {false, true}) {
      driven jobs({.concurrency = 3, .keep_order = ordered});
      const auto first = jobs.start_all();
      jobs.end(first[2]);
      jobs.end(first[0]);
      using order = std::vector<std::uint64_t>;
      CHECK(jobs.deliver_all() == (ordered ? order{1} : order{3, 1}));
      jobs.end(first[1]);
      CHECK(jobs.deliver_all() == (ordered ? order{2, 3} : order{2}));
    }
  }

  TEST_CASE("pool_machine: a slow one bounds how far the others run ahead in order") {
    driven jobs({.concurrency = 2, .keep_order = true});
    jobs.start_all();
    std::size_t ahead = 0;
    for (auto more = std::vector<slot>{1}; !more.empty(); more = jobs.start_all()) {
      jobs.end(more.front());
      CHECK(jobs.deliver_all().empty());
      ++ahead;
    }
    CHECK(ahead == 31);
    jobs.end(0);
    CHECK(jobs.deliver_all().size() == 32);
    CHECK(jobs.start_all().size() == 2);
  }

  TEST_CASE("pool_machine: what failed is tried again after delays that grow") {
    driven jobs(
        {.concurrency = 1,
         .retry = {.retries = 3, .delay = 1s, .factor = 3, .longest_delay = 5s, .jitter = 0}});
    const slot job = jobs.start_all().front();
    jobs.machine.source_ended();
    for (const auto delay : {1s, 3s, 5s}) {
      CHECK_FALSE(jobs.end(job, failure_kind::status));
      CHECK(jobs.deliver_all().empty());
      CHECK(jobs.machine.wakes_at() == jobs.now + delay);
      jobs.now += delay - 1ns;
      CHECK(jobs.start_all().empty());
      jobs.now += 1ns;
      CHECK(jobs.start_all() == std::vector{job});
    }
    CHECK(jobs.machine.tries(job) == 4);
    CHECK(jobs.end(job, failure_kind::status));
    CHECK(jobs.deliver_all() == std::vector<std::uint64_t>{1});
    CHECK(jobs.machine.done());
    const pool_summary all = jobs.machine.summary();
    CHECK(all.started == 1);
    CHECK(all.retried == 3);
    CHECK(all.failed == 1);
  }

  TEST_CASE("pool_machine: only the failures that were named are tried again") {
    for (const failure_kind why :
         {failure_kind::status, failure_kind::signal, failure_kind::timeout, failure_kind::spawn,
          failure_kind::output, failure_kind::cancelled}) {
      driven jobs({.concurrency = 1,
                   .retry = {.retries = 1, .on = failure_kind::timeout | failure_kind::output}});
      const bool again = !jobs.end(jobs.start_all().front(), why);
      CHECK(again == (why == failure_kind::timeout || why == failure_kind::output));
    }
  }

  TEST_CASE("pool_machine: jitter takes off up to its share, and the seed decides") {
    const auto delay_with = [](std::uint64_t seed) {
      pool_machine machine({.concurrency = 1, .retry = {.retries = 1, .delay = 8s, .jitter = 0.25}},
                           seed);
      const steady_clock::time_point now(1h);
      CHECK(machine.wants_command(now));
      machine.admitted();
      machine.finished(*machine.take_start(now), failure_kind::status, 1s, now);
      return machine.wakes_at() - now;
    };
    CHECK(delay_with(1) == delay_with(1));
    CHECK(delay_with(1) != delay_with(2));
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      CHECK(delay_with(seed) <= 8s);
      CHECK(delay_with(seed) >= 6s);
    }
  }

  TEST_CASE("pool_machine: others run while one waits for its next try, but no endless number") {
    driven jobs({.concurrency = 1, .retry = {.retries = 1, .delay = 1h}});
    std::size_t tried = 0;
    for (auto next = jobs.start_all(); !next.empty(); next = jobs.start_all()) {
      CHECK_FALSE(jobs.end(next.front(), failure_kind::status));
      ++tried;
    }
    CHECK(tried == 16);
    CHECK(jobs.machine.summary().waiting == 16);
  }

  TEST_CASE("pool_machine: of what was given the highest priority starts first") {
    driven jobs({.concurrency = 1});
    jobs.machine.source_waits();
    for (const int priority : {0, 5, -1, 5}) {
      jobs.machine.admitted(priority);
    }
    std::vector<std::uint64_t> order;
    while (const auto next = jobs.machine.take_start(jobs.now)) {
      order.push_back(jobs.machine.sequence(*next));
      jobs.end(*next);
    }
    CHECK(order == std::vector<std::uint64_t>{2, 4, 1, 3});
  }

  TEST_CASE("pool_machine: those that run have places, the lowest that are free") {
    driven jobs({.concurrency = 4});
    const auto first = jobs.start_all();
    for (std::size_t i = 0; i < 4; ++i) {
      CHECK(jobs.machine.place(first[i]) == i + 1);
    }
    jobs.end(first[3]);
    jobs.end(first[1]);
    const auto next = jobs.start_all();
    REQUIRE(next.size() == 2);
    CHECK(jobs.machine.place(next[0]) == 2);
    CHECK(jobs.machine.place(next[1]) == 4);
  }

  TEST_CASE("pool_machine: a rate bounds the starts, and after a pause a burst may start") {
    driven jobs({.concurrency = 100, .rate = 10, .burst = 3});
    CHECK(jobs.start_all().size() == 3);
    CHECK(jobs.machine.wakes_at() == jobs.now + 100ms);
    jobs.now += 99ms;
    CHECK(jobs.start_all().empty());
    jobs.now += 1ms;
    CHECK(jobs.start_all().size() == 1);
    jobs.now += 200ms;
    CHECK(jobs.start_all().size() == 2);
    jobs.now += 1h;
    CHECK(jobs.start_all().size() == 3);
    jobs.machine.source_waits();
    CHECK(jobs.machine.wakes_at() == never); // nothing is there to start
  }

  TEST_CASE("pool_machine: a time limit is a multiple of the median of three successes") {
    driven jobs({.concurrency = 1, .timeout_factor = 10});
    for (const duration took : {1s, 2s, 100s}) {
      CHECK_FALSE(jobs.machine.time_limit());
      const slot job = jobs.start_all().front();
      jobs.end(job, failure_kind::none, took);
      jobs.deliver_all();
    }
    jobs.end(jobs.start_all().front(), failure_kind::status, 1h);
    REQUIRE(jobs.machine.time_limit());
    CHECK(*jobs.machine.time_limit() <= 20s);
    CHECK(*jobs.machine.time_limit() >= 19s);
  }

  TEST_CASE("pool_machine: a halt counts final outcomes of its kind") {
    using policy = halt_policy;
    const auto started_before = [](const policy& halt, std::vector<failure_kind> ends) {
      driven jobs({.concurrency = 1, .halt = halt});
      std::size_t started = 0;
      for (auto next = jobs.start_all(); !next.empty(); next = jobs.start_all()) {
        jobs.end(next.front(), started < ends.size() ? ends[started] : failure_kind::none);
        jobs.deliver_all();
        if (++started == 20) {
          break;
        }
      }
      CHECK(jobs.machine.summary().halted == (started < 20));
      CHECK(jobs.machine.done() == (started < 20));
      CHECK(jobs.machine.take_stop_order() == (started < 20 && halt.what == policy::action::now));
      CHECK_FALSE(jobs.machine.take_stop_order());
      return started;
    };
    const auto bad = failure_kind::status;
    const auto good = failure_kind::none;
    for (const auto action : {policy::action::soon, policy::action::now}) {
      CHECK(started_before({.what = action}, {good, good, bad}) == 3);
      CHECK(started_before({.what = action, .count = 2}, {bad, good, good, failure_kind::spawn}) ==
            4);
      CHECK(started_before({.what = action, .on = policy::outcome::succeeded}, {bad, bad, good}) ==
            3);
      CHECK(started_before({.what = action, .on = policy::outcome::done, .count = 7}, {bad}) == 7);
      CHECK(started_before({.what = action, .percent = 50}, {bad, bad, good, good, good, bad}) ==
            6);
      CHECK(started_before({.what = action}, {failure_kind::cancelled}) == 20);
    }
    CHECK(started_before({}, std::vector(10, bad)) == 20);
  }

  TEST_CASE("pool_machine: after a halt what waits is delivered, and nothing is tried again") {
    driven jobs({.concurrency = 2, .retry = {.retries = 5, .delay = 1s}});
    const auto first = jobs.start_all();
    jobs.end(first[0], failure_kind::status);
    jobs.machine.source_waits();
    jobs.machine.admitted();
    jobs.machine.admitted();
    CHECK(jobs.start_all().size() == 1);
    jobs.machine.halt();
    CHECK(jobs.deliver_all() == std::vector<std::uint64_t>{4, 1});
    CHECK(jobs.machine.wakes_at() == never);
    jobs.now += 1h;
    CHECK(jobs.start_all().empty());
    CHECK_FALSE(jobs.machine.done());
    CHECK(jobs.end(first[1], failure_kind::status));
    CHECK(jobs.deliver_all() == std::vector<std::uint64_t>{2});
    jobs.machine.admitted();
    CHECK(jobs.deliver_all() == std::vector<std::uint64_t>{5});
  }

  TEST_CASE("pool_machine: who is cancelled while waiting never starts") {
    driven jobs({.concurrency = 1, .retry = {.retries = 1, .delay = 1s}});
    jobs.machine.source_waits();
    for (int i = 0; i < 4; ++i) {
      jobs.machine.admitted();
    }
    const slot first = *jobs.machine.take_start(jobs.now);
    CHECK_FALSE(jobs.machine.cancelled(first));
    jobs.end(first, failure_kind::status);
    CHECK(jobs.machine.cancelled(first));
    CHECK(jobs.machine.cancelled(2));
    CHECK_FALSE(jobs.machine.cancelled(2));
    CHECK(jobs.deliver_all() == std::vector<std::uint64_t>{1, 3});
    CHECK(jobs.machine.sequence(*jobs.machine.take_start(jobs.now)) == 2);
    jobs.end(1);
    CHECK(jobs.machine.sequence(*jobs.machine.take_start(jobs.now)) == 4);
  }

  TEST_CASE("pool_machine: the window and the concurrency may change at any time") {
    driven jobs({.concurrency = 4});
    CHECK(jobs.machine.wants_window(jobs.now));
    jobs.machine.set_window(0);
    CHECK(jobs.start_all().empty());
    CHECK(jobs.machine.wants_window(jobs.now));
    jobs.machine.set_window(2);
    const auto two = jobs.start_all();
    CHECK(two.size() == 2);
    jobs.machine.set_window(100);
    CHECK(jobs.start_all().size() == 2);
    CHECK_FALSE(jobs.machine.wants_window(jobs.now));
    jobs.machine.set_concurrency(1);
    jobs.end(two[0]);
    CHECK(jobs.start_all().empty());
    jobs.machine.set_concurrency(8);
    CHECK(jobs.start_all().size() == 5);
    CHECK(jobs.machine.summary().window == 8);
  }

  TEST_CASE(
      "pool_machine: a refused start costs no try, lowers the window, and it probes its way up") {
    driven jobs({.concurrency = 6});
    auto running = jobs.start_all();
    for (int i = 0; i < 3; ++i) {
      CHECK(jobs.machine.refused(running.back(), jobs.now));
      running.pop_back();
    }
    CHECK(jobs.machine.summary().window == 3);
    CHECK(jobs.machine.summary().refused == 3);
    CHECK(jobs.start_all().empty());
    std::vector<std::size_t> windows;
    for (int ends = 0; ends < 20; ++ends) {
      jobs.end(running.front());
      running.erase(running.begin());
      jobs.deliver_all();
      for (const slot each : jobs.start_all()) {
        CHECK(jobs.machine.tries(each) == 1);
        running.push_back(each);
      }
      if (windows.empty() || windows.back() != running.size()) {
        windows.push_back(running.size());
      }
    }
    CHECK(windows == std::vector<std::size_t>{3, 4, 5, 6});
  }

  TEST_CASE("pool_machine: refused with nothing running, a start is tried for a while") {
    driven jobs({.concurrency = 6});
    const auto first = jobs.start_all();
    for (const slot each : first) {
      CHECK(jobs.machine.refused(each, jobs.now));
    }
    std::size_t again = 1;
    for (;; ++again) {
      REQUIRE(jobs.machine.wakes_at() != never);
      CHECK(jobs.start_all().empty());
      jobs.now = jobs.machine.wakes_at();
      const auto one = jobs.start_all();
      REQUIRE(one.size() == 1);
      if (!jobs.machine.refused(one.front(), jobs.now)) {
        CHECK(jobs.end(one.front(), failure_kind::spawn));
        break;
      }
    }
    CHECK(again == 9);
    CHECK(jobs.deliver_all().size() == 1);
  }

  TEST_CASE("pool_machine: a million jobs that end, fail, wait and are refused in any order") {
    constexpr std::uint64_t many = 1'000'000;
    driven jobs({.concurrency = 50,
                 .rate = 100'000,
                 .burst = 10,
                 .retry = {.retries = 2, .delay = 3ms},
                 .seed = 3});
    std::mt19937 random(5);
    std::vector<slot> running;
    std::uint64_t delivered = 0;
    std::uint64_t admitted = 0;
    std::size_t most = 0;
    while (!jobs.machine.done()) {
      for (;;) {
        if (const auto next = jobs.machine.take_start(jobs.now)) {
          running.push_back(*next);
        } else if (!jobs.machine.wants_command(jobs.now)) {
          break;
        } else if (admitted == many) {
          jobs.machine.source_ended();
        } else {
          jobs.machine.admitted();
          ++admitted;
        }
      }
      REQUIRE(running.size() <= 50);
      if (running.empty() && !jobs.machine.done()) {
        REQUIRE(jobs.machine.wakes_at() > jobs.now);
        REQUIRE(jobs.machine.wakes_at() != never);
        jobs.now = jobs.machine.wakes_at();
        continue;
      }
      jobs.now += 10us;
      if (!running.empty()) {
        std::swap(running[random() % running.size()], running.back());
        const slot job = running.back();
        running.pop_back();
        const auto luck = random() % 100;
        if (luck != 0 || !jobs.machine.refused(job, jobs.now)) {
          jobs.end(job, luck < 10 ? failure_kind::status : failure_kind::none, 1ms);
        }
      }
      most = std::max(most, static_cast<std::size_t>(admitted - delivered));
      while (jobs.machine.take_deliverable()) {
        ++delivered;
      }
    }
    const pool_summary all = jobs.machine.summary();
    CHECK(delivered == many);
    CHECK(all.started == many);
    CHECK(all.succeeded + all.failed == many);
    CHECK(all.retried > 0);
    CHECK(all.refused > 0);
    CHECK(most <= 50 * 16);
  }

} // TEST_SUITE
