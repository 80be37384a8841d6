// stop_machine with events in any order that a driver may bring: it escalates step by step, never
// gives up before the last signal, never waits for nothing, and ends once.

#include "fuzz.hpp"

#include <platform.hpp>
#include <stop_machine.hpp>

#include <algorithm>
#include <optional>

const int subproc::detail::kill_signal = 9; // the platform's, which is not compiled here

namespace {

using namespace subproc;
using namespace std::chrono_literals;
using detail::stop_machine;
using fuzz::choices;

constexpr auto never = steady_clock::time_point::max();

class driver {
public:
  explicit driver(choices& given)
      : given_(given), steps_(some_steps()), leader_only_(given.flip()),
        machine_(steps_, leader_only_) {}

  void run() {
    if (given_.below(4) == 0) {
      exit();
    }
    machine_.begin(now_);
    raised();
    check();
    while (!given_.empty()) {
      event();
      check();
    }
    finish();
  }

private:
  // A signal is the number of its step, from 1; the last is SIGKILL.
  std::vector<stop_step> some_steps() {
    constexpr duration graces[] = {0ms, 5ms, 1s, steady_clock::duration::max()};
    std::vector<stop_step> steps;
    for (std::size_t n = 1 + given_.below(4); n > 0; --n) {
      steps.push_back({static_cast<int>(steps.size()) + 1, graces[given_.below(4)]});
    }
    steps.back().signal = last();
    return steps;
  }

  static int last() { return detail::kill_signal; }

  const stop_step& step_of(int signal) const {
    return signal == last() ? steps_.back() : steps_[static_cast<std::size_t>(signal) - 1];
  }

  void event() {
    const bool was_done = machine_.done();
    const error_code before = machine_.outcome();
    switch (given_.below(8)) {
    case 0:
      exit();
      break;
    case 1:
      if (signal(false) && given_.below(4) == 0) {
        fail(std::errc::operation_not_permitted);
      }
      break;
    case 2:
      look(given_.flip());
      break;
    case 3:
      now_ += std::chrono::milliseconds(given_.below(200));
      machine_.timer(now_);
      break;
    case 4:
    case 5:
      wake();
      break;
    case 6:
      machine_.escalate({steps_.back()}, now_);
      hurried_ = true;
      raised();
      break;
    default:
      if (given_.below(8) == 0) {
        machine_.cancel();
        HOLDS(machine_.done());
        HOLDS(was_done || machine_.outcome() == asio::error::operation_aborted);
      }
    }
    HOLDS(!was_done || (machine_.done() && machine_.outcome() == before));
  }

  void exit() {
    machine_.exited(now_);
    exited_ = true;
    HOLDS(!leader_only_ || machine_.done());
  }

  bool signal(bool at_once) {
    const std::optional<int> number = machine_.take_signal();
    HOLDS(!machine_.take_signal());
    if (!number) {
      return false;
    }
    HOLDS(!machine_.done() && *number > signal_ && *number <= last());
    HOLDS(!hurried_ || *number == last());
    signal_ = *number;
    ++sent_;
    step_began_ = at_once && !left_ ? std::optional(now_) : std::nullopt;
    left_ = false;
    return true;
  }

  // A driver takes a signal that may be there at once; here it is sometimes left for later.
  void raised() {
    if (given_.below(4) == 0) {
      left_ = true;
    } else {
      signal(true);
    }
  }

  void fail(std::errc why) {
    machine_.failed(make_error_code(why));
    HOLDS(machine_.done() && machine_.outcome() == why);
  }

  // A driver sends what is to be sent before it looks.
  void look(bool empty) {
    signal(false);
    if (!machine_.wants_scope_check()) {
      return;
    }
    machine_.scope_checked(empty, now_);
    HOLDS(!machine_.wants_scope_check());
    HOLDS(!empty || (machine_.done() && !machine_.outcome()));
    const bool gave_up = !empty && machine_.done();
    HOLDS(!gave_up || (machine_.outcome() == errc::not_stopped && signal_ == last()));
    // Every step has its whole grace.
    const int before = signal_;
    const auto step_ends = step_began_ ? step_of(before).grace.after(*step_began_) : now_;
    raised();
    HOLDS((!gave_up && signal_ == before) || now_ >= step_ends);
  }

  void wake() {
    if (machine_.wakes_at() == never) {
      return;
    }
    now_ = std::max(now_, machine_.wakes_at());
    machine_.timer(now_);
    HOLDS(machine_.wants_scope_check());
  }

  void check() {
    HOLDS(machine_.forced() == (sent_ > 1 && signal_ == last()));
    if (machine_.done()) {
      HOLDS(!machine_.wants_exit() && !machine_.wants_scope_check());
      HOLDS(machine_.wakes_at() == never);
      return;
    }
    HOLDS(machine_.wants_exit() == !exited_);
    HOLDS(!exited_ || machine_.wants_scope_check() || machine_.wakes_at() != never);
  }

  // With nobody dying it ends all the same, unless a grace has no end.
  void finish() {
    for (int looks = 0; !machine_.done(); ++looks) {
      HOLDS(looks < 1'000);
      if (!machine_.wants_scope_check() && machine_.wakes_at() == never) {
        exit();
      } else {
        wake();
        look(looks > 500);
      }
      check();
    }
  }

  choices& given_;
  std::vector<stop_step> steps_;
  bool leader_only_;
  stop_machine machine_;
  steady_clock::time_point now_{1h};
  int signal_ = 0;
  int sent_ = 0;
  std::optional<steady_clock::time_point> step_began_; ///< where it is known
  bool left_ = false;                                  ///< a signal may be there since some time
  bool exited_ = false;
  bool hurried_ = false;
};

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  choices given(data, size);
  driver(given).run();
  return 0;
}
