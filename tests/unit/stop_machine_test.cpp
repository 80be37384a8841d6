#include <stop_machine.hpp>

#include "../printing.hpp"

#include <asio/error.hpp>

#include <random>

namespace {

using namespace subproc;
using namespace std::chrono_literals;
using detail::stop_machine;

constexpr auto never = steady_clock::time_point::max();
constexpr int polite = 15;
constexpr int certain = 9;

steady_clock::time_point at(std::chrono::milliseconds since) {
  return steady_clock::time_point(std::chrono::hours(1) + since);
}

std::vector<stop_step> two_steps() { return {{polite, 100ms}, {certain, 50ms}}; }

stop_machine begun(bool leader_only, std::vector<stop_step> steps = two_steps()) {
  stop_machine machine(std::move(steps), leader_only);
  machine.begin(at(0ms));
  return machine;
}

// A look at the scope that is due, and its answer.
void answer(stop_machine& machine, bool empty, steady_clock::time_point now) {
  REQUIRE(machine.wants_scope_check());
  machine.scope_checked(empty, now);
}

TEST_SUITE("stop_machine") {
  TEST_CASE("stop_machine: it begins with the first signal, handed out once") {
    stop_machine machine = begun(true);
    CHECK_FALSE(machine.done());
    CHECK(machine.take_signal() == polite);
    CHECK_FALSE(machine.take_signal());
    CHECK(machine.wants_exit());
    CHECK_FALSE(machine.wants_scope_check());
    CHECK(machine.wakes_at() == at(100ms));
    CHECK_FALSE(machine.forced());
  }

  TEST_CASE("stop_machine: a lone process is stopped when it exits") {
    stop_machine machine = begun(true);
    machine.take_signal();
    machine.exited(at(30ms));
    CHECK(machine.done());
    CHECK_FALSE(machine.outcome());
    CHECK_FALSE(machine.forced());
    CHECK(machine.wakes_at() == never);
    CHECK_FALSE(machine.wants_exit());
  }

  TEST_CASE("stop_machine: a lone process that outlives its grace gets the next signal") {
    stop_machine machine = begun(true);
    machine.take_signal();
    machine.timer(at(99ms));
    CHECK_FALSE(machine.wants_scope_check());
    machine.timer(at(100ms));
    answer(machine, false, at(100ms));
    CHECK(machine.take_signal() == certain);
    CHECK(machine.forced());
    CHECK(machine.wakes_at() == at(150ms));
    machine.exited(at(110ms));
    CHECK(machine.done());
    CHECK_FALSE(machine.outcome());
    CHECK(machine.forced());
  }

  TEST_CASE(
      "stop_machine: a group is stopped when it is empty, not when its leader is gone [T46]") {
    stop_machine machine = begun(false);
    machine.take_signal();
    machine.exited(at(10ms));
    CHECK_FALSE(machine.done());
    CHECK_FALSE(machine.wants_exit());
    answer(machine, false, at(10ms));
    CHECK_FALSE(machine.done());
    // The leader died of the polite signal; who ignores it still gets the certain one.
    while (machine.wakes_at() < at(100ms)) {
      const auto now = machine.wakes_at();
      machine.timer(now);
      answer(machine, false, now);
      CHECK_FALSE(machine.take_signal());
    }
    machine.timer(at(100ms));
    answer(machine, false, at(100ms));
    CHECK(machine.take_signal() == certain);
    const auto next = machine.wakes_at();
    CHECK(next < at(150ms));
    machine.timer(next);
    answer(machine, true, next);
    CHECK(machine.done());
    CHECK_FALSE(machine.outcome());
    CHECK(machine.forced());
  }

  TEST_CASE("stop_machine: an empty group at the leader's exit needs nothing more") {
    stop_machine machine = begun(false);
    machine.take_signal();
    machine.exited(at(10ms));
    answer(machine, true, at(10ms));
    CHECK(machine.done());
    CHECK_FALSE(machine.forced());
  }

  TEST_CASE("stop_machine: while the leader lives, nobody asks whether its group is empty") {
    stop_machine machine = begun(false);
    machine.take_signal();
    CHECK(machine.wakes_at() == at(100ms));
    machine.timer(at(50ms));
    CHECK_FALSE(machine.wants_scope_check());
  }

  TEST_CASE("stop_machine: the looks at a group back off, within bounds") {
    stop_machine machine = begun(false, {{polite, 1h}});
    machine.take_signal();
    auto now = at(0ms);
    machine.exited(now);
    answer(machine, false, now);
    steady_clock::duration before{};
    int looks = 0;
    for (; now < at(10'000ms); ++looks) {
      const auto pause = machine.wakes_at() - now;
      REQUIRE(pause > 0ms);
      REQUIRE(pause <= 64ms);
      REQUIRE(pause >= before);
      REQUIRE((pause == 64ms || before == 0ms || pause == 2 * before));
      before = pause;
      now += pause;
      machine.timer(now - 1us);
      REQUIRE_FALSE(machine.wants_scope_check());
      machine.timer(now);
      REQUIRE(machine.wants_scope_check());
      answer(machine, false, now);
    }
    CHECK(looks < 200);
  }

  TEST_CASE("stop_machine: after a new signal the looks are frequent again") {
    stop_machine machine = begun(false, {{polite, 1s}, {certain, 1s}});
    machine.take_signal();
    machine.exited(at(0ms));
    answer(machine, false, at(0ms));
    while (machine.wakes_at() < at(1'000ms)) {
      const auto now = machine.wakes_at();
      machine.timer(now);
      answer(machine, false, now);
    }
    machine.timer(at(1'000ms));
    answer(machine, false, at(1'000ms));
    CHECK(machine.take_signal() == certain);
    CHECK(machine.wakes_at() == at(1'001ms));
  }

  TEST_CASE("stop_machine: who survives the last step ends the stop with an error [T51]") {
    for (const bool leader_only : {true, false}) {
      for (const bool leader_dies : {true, false}) {
        if (leader_only && leader_dies) {
          continue;
        }
        CAPTURE(leader_only);
        CAPTURE(leader_dies);
        stop_machine machine = begun(leader_only);
        if (leader_dies) {
          machine.exited(at(0ms));
          answer(machine, false, at(0ms));
        }
        int looks = 0;
        while (!machine.done()) {
          REQUIRE(machine.wakes_at() != never);
          REQUIRE(machine.wakes_at() <= at(150ms));
          REQUIRE(++looks < 100);
          const auto now = machine.wakes_at();
          machine.take_signal();
          machine.timer(now);
          if (machine.wants_scope_check()) {
            machine.scope_checked(false, now);
          }
        }
        CHECK(machine.outcome() == errc::not_stopped);
        CHECK(machine.forced());
        CHECK(machine.wakes_at() == never);
        CHECK_FALSE(machine.take_signal());
        CHECK_FALSE(machine.wants_exit());
        CHECK_FALSE(machine.wants_scope_check());
      }
    }
  }

  TEST_CASE("stop_machine: a wake-up that comes late looks before it escalates") {
    stop_machine machine = begun(false);
    machine.take_signal();
    SUBCASE("the scope emptied in time: nothing was forced") {
      machine.timer(at(900ms));
      CHECK_FALSE(machine.take_signal());
      machine.exited(at(900ms));
      answer(machine, true, at(900ms));
      CHECK(machine.done());
      CHECK_FALSE(machine.outcome());
      CHECK_FALSE(machine.forced());
    }
    SUBCASE("the scope is alive: the next step has its whole grace") {
      machine.timer(at(900ms));
      answer(machine, false, at(901ms));
      CHECK(machine.take_signal() == certain);
      CHECK(machine.wakes_at() == at(951ms));
    }
    SUBCASE("the last step too is looked at before it is given up") {
      machine.timer(at(100ms));
      answer(machine, false, at(100ms));
      machine.take_signal();
      machine.timer(at(5'000ms));
      machine.exited(at(5'000ms));
      answer(machine, true, at(5'000ms));
      CHECK(machine.done());
      CHECK_FALSE(machine.outcome());
      CHECK(machine.forced());
    }
  }

  TEST_CASE("stop_machine: a lone process found dead by a late wake-up was not forced") {
    stop_machine machine = begun(true);
    machine.take_signal();
    machine.timer(at(900ms));
    machine.exited(at(900ms));
    CHECK(machine.done());
    CHECK_FALSE(machine.take_signal());
    CHECK_FALSE(machine.forced());
  }

  TEST_CASE("stop_machine: a process that has ended before gets no signal") {
    stop_machine machine(two_steps(), true);
    machine.exited(at(0ms));
    machine.begin(at(1ms));
    CHECK(machine.done());
    CHECK_FALSE(machine.outcome());
    CHECK_FALSE(machine.take_signal());
  }

  TEST_CASE("stop_machine: a group whose leader has ended before is signalled all the same [T47]") {
    stop_machine machine(two_steps(), false);
    machine.exited(at(0ms));
    machine.begin(at(1ms));
    CHECK_FALSE(machine.done());
    CHECK(machine.take_signal() == polite);
    answer(machine, false, at(1ms));
    CHECK(machine.wakes_at() == at(2ms));
  }

  TEST_CASE("stop_machine: without grace the next signal follows at once") {
    stop_machine machine = begun(true, {{polite, 0ms}, {certain, 50ms}});
    CHECK(machine.take_signal() == polite);
    CHECK(machine.wakes_at() == at(0ms));
    machine.timer(at(0ms));
    answer(machine, false, at(0ms));
    CHECK(machine.take_signal() == certain);
  }

  TEST_CASE("stop_machine: each step has its signal and its time, and is remembered [A48]") {
    stop_machine machine = begun(true, {{2, 10ms}, {1, 20ms}, {0, 30ms}, {polite, 40ms}});
    std::vector<int> sent;
    std::size_t steps = 0;
    for (const auto end : {10ms, 30ms, 60ms, 100ms}) {
      if (const auto number = machine.take_signal()) {
        sent.push_back(*number);
      }
      CHECK(machine.signals().size() == ++steps);
      REQUIRE(machine.wakes_at() == at(end));
      machine.timer(at(end));
      answer(machine, false, at(end));
    }
    CHECK(sent == std::vector<int>{2, 1, polite});
    CHECK(machine.signals() == std::vector<int>{2, 1, 0, polite});
    CHECK(machine.outcome() == errc::not_stopped); // no SIGKILL that was not asked for
    CHECK_FALSE(machine.forced());
  }

  TEST_CASE("stop_machine: the steps end with the first that empties the scope [A51]") {
    stop_machine machine = begun(false, {{0, 10ms}, {polite, 20ms}, {certain, 50ms}});
    CHECK_FALSE(machine.take_signal()); // it only waits
    CHECK(machine.signals() == std::vector<int>{0});
    machine.exited(at(3ms));
    answer(machine, false, at(3ms));
    while (machine.wakes_at() < at(10ms)) {
      const auto now = machine.wakes_at();
      machine.timer(now);
      answer(machine, false, now);
    }
    machine.timer(at(10ms));
    answer(machine, false, at(10ms));
    CHECK(machine.take_signal() == polite);
    machine.timer(machine.wakes_at());
    answer(machine, true, at(12ms));
    CHECK(machine.done());
    CHECK_FALSE(machine.outcome());
    CHECK(machine.signals() == std::vector<int>{0, polite});
  }

  TEST_CASE("stop_machine: escalated, it forgets the steps that were left") {
    stop_machine machine = begun(true, {{2, 1h}, {3, 1h}});
    CHECK(machine.take_signal() == 2);
    machine.escalate({{polite, 10ms}, {certain, 10ms}}, at(5ms));
    CHECK(machine.take_signal() == polite);
    CHECK(machine.wakes_at() == at(15ms));
    machine.timer(at(15ms));
    answer(machine, false, at(15ms));
    CHECK(machine.take_signal() == certain);
    CHECK(machine.forced());
    machine.exited(at(16ms));
    CHECK(machine.signals() == std::vector<int>{2, polite, certain});
  }

  TEST_CASE("stop_machine: a signal that was not taken before the end was not sent") {
    stop_machine machine = begun(true);
    machine.exited(at(0ms));
    CHECK_FALSE(machine.take_signal());
    CHECK(machine.signals().empty());
  }

  TEST_CASE("stop_machine: a single step is no escalation") {
    stop_machine machine = begun(true, {{certain, 50ms}});
    CHECK(machine.take_signal() == certain);
    machine.exited(at(1ms));
    CHECK_FALSE(machine.forced());
  }

  TEST_CASE("stop_machine: a grace without end never escalates") {
    stop_machine machine = begun(true, {{polite, std::chrono::hours::max()}, {certain, 50ms}});
    CHECK(machine.take_signal() == polite);
    CHECK(machine.wakes_at() == never);
    machine.exited(at(1ms));
    CHECK(machine.done());
  }

  TEST_CASE("stop_machine: cancelled, it wants nothing more") {
    stop_machine machine = begun(false);
    machine.exited(at(0ms));
    machine.cancel();
    CHECK(machine.done());
    CHECK(machine.outcome() == asio::error::operation_aborted);
    CHECK_FALSE(machine.take_signal());
    CHECK_FALSE(machine.wants_scope_check());
    CHECK(machine.wakes_at() == never);
    machine.timer(at(900ms));
    machine.scope_checked(true, at(900ms));
    machine.exited(at(900ms));
    CHECK_FALSE(machine.take_signal());
    CHECK(machine.outcome() == asio::error::operation_aborted);
  }

  TEST_CASE("stop_machine: a signal that cannot be sent ends the stop with that error") {
    stop_machine machine = begun(true);
    machine.take_signal();
    machine.failed(make_error_code(std::errc::operation_not_permitted));
    CHECK(machine.done());
    CHECK(machine.outcome() == std::errc::operation_not_permitted);
    machine.timer(at(100ms));
    CHECK_FALSE(machine.take_signal());
  }

  TEST_CASE("stop_machine: escalated, it goes to the certain signal at once") {
    stop_machine machine = begun(false);
    machine.take_signal();
    machine.escalate({{certain, 50ms}}, at(10ms));
    CHECK(machine.take_signal() == certain);
    CHECK(machine.forced());
    CHECK(machine.wakes_at() == at(60ms));
    machine.escalate({{certain, 1h}}, at(20ms)); // there is nothing beyond
    CHECK_FALSE(machine.take_signal());
    CHECK(machine.wakes_at() == at(60ms));
  }

  TEST_CASE("stop_machine: escalated while it looks whether to go on, it goes on once") {
    stop_machine machine = begun(false);
    machine.take_signal();
    machine.timer(at(100ms));
    machine.escalate({{certain, 50ms}}, at(100ms));
    CHECK(machine.take_signal() == certain);
    if (machine.wants_scope_check()) {
      machine.scope_checked(false, at(101ms));
    }
    CHECK_FALSE(machine.done());
    CHECK_FALSE(machine.take_signal());
  }

  TEST_CASE("stop_machine: once done there is nothing to escalate") {
    stop_machine machine = begun(true);
    machine.exited(at(1ms));
    machine.escalate({{certain, 50ms}}, at(2ms));
    CHECK_FALSE(machine.take_signal());
    CHECK_FALSE(machine.forced());
    CHECK(machine.wakes_at() == never);
  }

  TEST_CASE("stop_machine: the first outcome stays") {
    stop_machine machine = begun(true);
    machine.take_signal();
    machine.exited(at(1ms));
    machine.cancel();
    machine.failed(make_error_code(std::errc::operation_not_permitted));
    CHECK_FALSE(machine.outcome());
  }

  TEST_CASE("stop_machine: in any order of events it ends in bounded time and with the truth") {
    std::mt19937 random(12345);
    const auto below = [&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(random); };
    for (int round = 0; round < 20'000; ++round) {
      CAPTURE(round);
      const bool leader_only = below(2) == 0;
      // Who dies of which signal, and how long after it; 3: of none.
      const int leader_falls = 1 + below(3);
      const int member_falls = leader_only ? 0 : below(4);
      const auto delay = std::chrono::milliseconds(below(40));
      stop_machine machine(two_steps(), leader_only);
      auto now = at(0ms);
      auto leader_dead = never;
      auto member_dead = member_falls == 0 ? at(0ms) : never;
      int signals = 0;
      bool told = false;
      machine.begin(now);
      for (int steps = 0; !machine.done(); ++steps) {
        REQUIRE(steps < 1'000);
        if (!told && now >= leader_dead) {
          told = true;
          machine.exited(now);
        } else if (const auto number = machine.take_signal()) {
          REQUIRE(*number == (signals == 0 ? polite : certain));
          ++signals;
          leader_dead = leader_falls == signals ? now + delay : leader_dead;
          member_dead = member_falls == signals ? now + 2 * delay : member_dead;
        } else if (machine.wants_scope_check()) {
          machine.scope_checked(told && now >= leader_dead && now >= member_dead, now);
        } else {
          // On to the next event, and sometimes well past it.
          auto next = machine.wakes_at();
          REQUIRE(next != never);
          if (!told) {
            next = std::min(next, leader_dead);
          }
          now = std::max(now, next) + std::chrono::milliseconds(below(5) == 0 ? below(200) : 0);
          if (now >= machine.wakes_at() && (told || now < leader_dead || below(2) == 0)) {
            machine.timer(now);
          }
        }
      }
      const bool all_dead = now >= leader_dead && now >= member_dead;
      REQUIRE(!machine.outcome() == all_dead);
      REQUIRE((!machine.outcome() || machine.outcome() == errc::not_stopped));
      REQUIRE(signals >= 1);
      REQUIRE(machine.forced() == (signals == 2));
      REQUIRE((all_dead || signals == 2));
    }
  }
}

} // namespace
