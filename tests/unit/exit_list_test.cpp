#include "exit_list.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::detail;

namespace {

using entry = exit_list::entry;
using found = exit_list::found;

// A kernel that is asked, and counts how often; a look takes a microsecond.
struct fake_children {
  exit_list list{[this](pid_t pid) {
                   ++looks;
                   now += 1us;
                   const auto it = state.find(pid);
                   return it == state.end() ? found::gone : it->second;
                 },
                 [this] {
                   ++questions;
                   return unreaped != 0;
                 },
                 [this](entry& child) { ++announcements[&child]; }};
  std::map<const entry*, int> announcements;
  std::map<pid_t, found> state;
  std::map<pid_t, std::shared_ptr<entry>> entries;
  std::size_t looks = 0;
  std::size_t questions = 0;
  std::size_t unreaped = 0;
  steady_clock::time_point now{1h};

  void start(pid_t pid) {
    state[pid] = found::running;
    entries[pid] = std::make_shared<entry>(pid);
    list.add(entries[pid], now);
  }
  void start_many(int count) {
    for (pid_t pid = 1; pid <= count; ++pid) {
      start(pid);
    }
    looks = 0;
  }
  void end(pid_t pid) {
    state[pid] = found::ended;
    ++unreaped;
  }
  void reap(pid_t pid) {
    state.erase(pid);
    --unreaped;
    list.remove(*entries[pid]);
    entries.erase(pid);
  }
  void signal(const std::vector<pid_t>& named) { list.heard(named, now); }
  void wake() {
    list.wake(now);
    list.swept(now);
  }
  bool announced(pid_t pid) { return announcements[entries.at(pid).get()] == 1; }
};

} // namespace

TEST_SUITE("exit_list") {

  TEST_CASE("exit_list: a child that has ended before it was added is announced at once [T32]") {
    fake_children all;
    all.state[7] = found::ended;
    all.entries[7] = std::make_shared<entry>(7);
    all.list.add(all.entries[7], all.now);
    CHECK(all.announced(7));
    CHECK_FALSE(all.entries[7]->gone);
    CHECK_FALSE(all.list.wake_at().has_value()); // and nothing has to be done any more
  }

  TEST_CASE("exit_list: of a few children a signal finds all that have ended [T28]") {
    fake_children all;
    all.start_many(20);
    all.end(3);
    all.end(17);
    all.signal({3});
    CHECK(all.announced(3));
    CHECK(all.announced(17)); // its signal was coalesced
    CHECK_FALSE(all.announced(4));
    CHECK(all.list.running() == 18);
  }

  TEST_CASE("exit_list: of many those that are named are found at once, the others soon [T28]") {
    fake_children all;
    all.start_many(5000);
    all.now += 1s;
    all.end(10);
    all.end(20);
    all.end(4999);
    all.signal({20});
    CHECK(all.announced(20));
    CHECK(all.looks == 1);
    REQUIRE(all.list.wake_at().has_value());
    CHECK(*all.list.wake_at() <= all.now);
    all.wake();
    CHECK(all.announced(10));
    CHECK(all.announced(4999));
    CHECK(all.list.hears());
  }

  TEST_CASE("exit_list: 5,000 ends one after the other take a few looks each, not n [T28]") {
    constexpr int count = 5000;
    fake_children all;
    all.start_many(count);
    for (pid_t pid = 1; pid <= count; ++pid) {
      all.now += 20us;
      all.end(pid);
      all.signal({pid});
      REQUIRE(all.announced(pid));
      if (all.list.wake_at().value_or(steady_clock::time_point::max()) <= all.now) {
        all.wake();
      }
      all.reap(pid);
    }
    CHECK(all.list.running() == 0);
    CHECK(all.looks < 20 * count);
    CHECK(all.questions < count);
  }

  TEST_CASE("exit_list: 5,000 ends at once that few signals tell of take a few looks each [T28]") {
    constexpr int count = 5000;
    fake_children all;
    all.start_many(count);
    // Each signal comes while others die; all stay unreaped, and hold the question's answer.
    for (pid_t pid = 1; pid <= count; ++pid) {
      all.end(pid);
      all.now += 10us;
      if (pid % 50 == 0) {
        all.signal({pid});
      }
      if (all.list.wake_at().value_or(steady_clock::time_point::max()) <= all.now) {
        all.wake();
      }
    }
    while (all.list.running() != 0) {
      REQUIRE(all.list.wake_at().has_value());
      all.now = std::max(all.now, *all.list.wake_at());
      all.wake();
    }
    CHECK(all.looks < 20 * count);
  }

  TEST_CASE("exit_list: where all that ended are known nobody is looked at") {
    fake_children all;
    all.start_many(1000);
    all.now += 1s;
    all.end(5);
    all.signal({5});
    all.reap(5);
    all.wake();
    CHECK(all.looks == 1);
    CHECK(all.questions == 1);
  }

  TEST_CASE("exit_list: ends that no signal tells of are found by time, and sooner from then on "
            "[T27]") {
    fake_children all;
    all.start_many(3);
    CHECK(*all.list.wake_at() == all.now - 3us + 250ms);
    all.end(2);
    all.now = *all.list.wake_at();
    all.wake();
    CHECK(all.announced(2));
    CHECK_FALSE(all.list.hears());
    CHECK(*all.list.wake_at() == all.now + 10ms);
    all.signal({});
    CHECK(all.list.hears()); // they come again
  }

  TEST_CASE("exit_list: without signals many are looked at for a small part of the time") {
    fake_children all;
    all.start_many(5000);
    all.list.hears(false);
    const auto start = all.now;
    while (all.now < start + 2s) {
      all.now = std::max(all.now, *all.list.wake_at());
      all.wake();
    }
    CHECK(all.looks * 1us < 200ms);
  }

  TEST_CASE("exit_list: who is given the number of a former child does not share its fate [T25]") {
    fake_children all;
    all.start(9);
    const std::shared_ptr<entry> former = all.entries[9];
    all.start(9);
    CHECK(former->gone);
    CHECK(all.announcements[former.get()] == 1);
    CHECK_FALSE(all.announced(9));
    CHECK_FALSE(all.entries[9]->gone);
    // The former leaves, and the other is still watched.
    all.list.remove(*former);
    all.end(9);
    all.signal({9});
    CHECK(all.announced(9));
    CHECK_FALSE(all.entries[9]->gone);
  }

  TEST_CASE("exit_list: a child that somebody else has taken is gone, and is announced [T26]") {
    fake_children all;
    all.start(4);
    all.state.erase(4);
    all.signal({4});
    CHECK(all.announced(4));
    CHECK(all.entries[4]->gone);
  }

  TEST_CASE("exit_list: strangers that a signal names are not looked at [T26]") {
    fake_children all;
    all.start_many(100);
    all.signal({5000, 6000});
    CHECK(all.looks == 0);
  }

} // TEST_SUITE
