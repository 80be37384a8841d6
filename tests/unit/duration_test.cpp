#include <subproc/duration.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <type_traits>

namespace {

using subproc::duration;
using subproc::steady_clock;
using namespace std::chrono_literals;
using real_seconds = std::chrono::duration<double>;
using picoseconds = std::chrono::duration<long long, std::pico>;

static_assert(std::is_convertible_v<std::chrono::minutes, duration>);
static_assert(std::is_convertible_v<real_seconds, duration>);
static_assert(!std::is_convertible_v<int, duration>);
static_assert(duration() == duration(0s));
static_assert(duration(0.5s) == duration(500ms));
static_assert(duration(std::chrono::hours::max()).count() == steady_clock::duration::max());

constexpr auto longest = steady_clock::duration::max();
constexpr auto shortest = steady_clock::duration::min();

TEST_SUITE("duration") {
  TEST_CASE("duration: every unit of chrono keeps its length") {
    CHECK((duration(3s).count() == 3s));
    CHECK((duration(50ms).count() == 50ms));
    CHECK((duration(7us).count() == 7us));
    CHECK((duration(2h).count() == 2h));
    CHECK((duration(-4s).count() == -4s));
  }

  TEST_CASE("duration: a decimal fraction of seconds is what it says") {
    for (long long ms = 1; ms <= 10'000; ++ms) {
      const double seconds = static_cast<double>(ms) / 1000;
      REQUIRE((duration(real_seconds(seconds)) == duration(std::chrono::milliseconds(ms))));
      REQUIRE((duration(real_seconds(-seconds)) == duration(std::chrono::milliseconds(-ms))));
      REQUIRE(duration(real_seconds(seconds)).seconds() == seconds);
    }
  }

  TEST_CASE("duration: what is too long or too short for the clock saturates") {
    CHECK((duration(std::chrono::hours::max()).count() == longest));
    CHECK((duration(std::chrono::hours::min()).count() == shortest));
    CHECK((duration(std::chrono::seconds::max()).count() == longest));
    CHECK((duration(real_seconds(1e300)).count() == longest));
    CHECK((duration(real_seconds(-1e300)).count() == shortest));
    CHECK((duration(real_seconds(std::numeric_limits<double>::infinity())).count() == longest));
    CHECK((duration(real_seconds(-std::numeric_limits<double>::infinity())).count() == shortest));
    CHECK((duration(longest).count() == longest));
    CHECK((duration(longest - 1ns).count() == longest - 1ns));
    CHECK((duration(shortest).count() == shortest));
  }

  TEST_CASE("duration: NaN is zero") {
    CHECK((duration(real_seconds(std::numeric_limits<double>::quiet_NaN())).count() == 0s));
  }

  TEST_CASE("duration: a fraction of a tick is rounded up") {
    CHECK((duration(picoseconds(1)).count() == 1ns));
    CHECK((duration(picoseconds(1001)).count() == 2ns));
    CHECK((duration(picoseconds(2000)).count() == 2ns));
    CHECK((duration(picoseconds(-1)).count() == 0ns));
    CHECK((duration(real_seconds(1e-12)).count() == 1ns));
    CHECK((duration(real_seconds(1.25e-9)).count() == 2ns));
  }

  TEST_CASE("duration: long counts of doubles stay what they are") {
    CHECK((duration(real_seconds(1e9)).count() == 1'000'000'000s));
    CHECK((duration(real_seconds(-1e9)).count() == -1'000'000'000s));
  }

  TEST_CASE("duration: after() stops at the end of time") {
    const steady_clock::time_point now(100h);
    CHECK((duration(5s).after(now) == now + 5s));
    CHECK((duration(-5s).after(now) == now - 5s));
    CHECK((duration(std::chrono::hours::max()).after(now) == steady_clock::time_point::max()));
    CHECK((duration(0s).after(steady_clock::time_point::max()) == steady_clock::time_point::max()));
  }

  TEST_CASE("duration: values are ordered") {
    CHECK((duration(1s) < duration(1001ms)));
    CHECK((duration(-1s) < duration()));
  }
}

} // namespace
