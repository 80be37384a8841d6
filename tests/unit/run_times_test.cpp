#include <run_times.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using detail::run_times;

TEST_SUITE("run_times") {

  TEST_CASE("run_times: without any the median is 0") {
    const run_times none;
    CHECK(none.median() == duration());
    CHECK(none.longest() == duration());
  }

  TEST_CASE("run_times: short times are exact, all are within a 32nd") {
    for (const auto time : {0ns, 1ns, 31ns, 63ns, 64ns, 1000ns, 999'999ns, 5'000'000'000ns}) {
      run_times one;
      one.add(time);
      CHECK(one.longest() == time);
      CHECK(one.median() <= time);
      CHECK(one.median() >= time - time / 32);
      CHECK((time >= 64ns || one.median() == time));
    }
  }

  TEST_CASE("run_times: the longest time there is has room, and a negative one is 0") {
    run_times times;
    times.add(duration(std::chrono::nanoseconds::max()));
    CHECK(times.median() > 280 * 8760h);
    times.add(-5s);
    CHECK(times.median() == duration());
  }

  TEST_CASE("run_times: after each of many the median is that of a sorted list") {
    std::mt19937 random(7);
    std::lognormal_distribution<double> spread(12, 3);
    run_times times;
    std::vector<std::chrono::nanoseconds> sorted;
    for (int i = 0; i < 2000; ++i) {
      const std::chrono::nanoseconds time(static_cast<long long>(spread(random)));
      times.add(time);
      sorted.insert(std::upper_bound(sorted.begin(), sorted.end(), time), time);
      const auto median = sorted[(sorted.size() - 1) / 2];
      REQUIRE(times.median() <= median);
      REQUIRE(times.median() >= median - median / 32);
    }
    CHECK(times.longest() == sorted.back());
  }

} // TEST_SUITE
