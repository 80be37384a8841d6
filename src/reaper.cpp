#include "reaper.hpp"

#include "per_process.hpp"
#include "platform.hpp"

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {
namespace {

// A child that is left, on the reaper's loop.
struct watched {
  watched(asio::io_context& context, left_child who) : left(std::move(who)), timer(context) {}

  ~watched() { ready.reset(); }

  void look(const std::shared_ptr<watched>& self) {
    if (!left.reap()) {
      ready.async_wait(timer.get_executor(), left.who->exit_handle(), false,
                       [self](error_code ec) { self->woken(self, ec); });
    }
  }

  // Readable is not yet reapable while a debugger holds the child: ask again later.
  void woken(const std::shared_ptr<watched>& self, error_code) {
    if (left.reap()) {
      return;
    }
    timer.expires_after(pause);
    pause = std::min<steady_clock::duration>(2 * pause, std::chrono::seconds(1));
    timer.async_wait([self](error_code) { self->look(self); });
  }

  left_child left;
  readiness ready;
  asio::steady_timer timer;
  steady_clock::duration pause = std::chrono::milliseconds(1);
};

struct reaper_loop {
  asio::io_context context{1};
  asio::steady_timer opens_all{context}; ///< what the loop needs of descriptors
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
};

class reaper {
public:
  void add(left_child left) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(left));
    if (loop_) {
      watch_waiting();
    } else {
      start_thread();
    }
  }

private:
  void watch_waiting() {
    for (left_child& left : std::exchange(waiting_, {})) {
      auto entry = std::make_shared<watched>(loop_->context, std::move(left));
      asio::post(loop_->context, [entry] { entry->look(entry); });
    }
  }

  // No room for a thread now: the children wait as zombies for the next attempt.
  void start_thread() noexcept {
    if (!started_) {
      try {
        start_background_thread([this] { run(); });
        started_ = true;
      } catch (const system_error&) {
      }
    }
  }

  // While there are no descriptors for a loop, the children are asked by time.
  void run() {
    steady_clock::duration pause = std::chrono::milliseconds(1);
    while (!make_loop()) {
      if (!reap_waiting()) {
        return;
      }
      std::this_thread::sleep_for(pause);
      pause = std::min<steady_clock::duration>(2 * pause, std::chrono::seconds(1));
    }
    loop_->context.run();
  }

  // Without the mutex: hooks hear of an exit, and may drop a child. False when none is left.
  bool reap_waiting() {
    std::unique_lock lock(mutex_);
    std::vector<left_child> mine = std::exchange(waiting_, {});
    lock.unlock();
    std::erase_if(mine, [](left_child& left) { return left.reap(); });
    lock.lock();
    std::move(mine.begin(), mine.end(), std::back_inserter(waiting_));
    started_ = !waiting_.empty();
    return started_;
  }

  bool make_loop() {
    const std::lock_guard lock(mutex_);
    try {
      loop_.emplace();
    } catch (const system_error&) {
      return false;
    }
    watch_waiting();
    return true;
  }

  std::mutex mutex_;
  std::vector<left_child> waiting_; ///< for a loop
  bool started_ = false;
  std::optional<reaper_loop> loop_;
};

} // namespace

bool left_child::reap() noexcept {
  const std::optional<exit_report> report = who->try_wait();
  if (report && trail) {
    trail->exited(*report);
    trail.reset();
  }
  return report.has_value();
}

void reap_in_background(left_child left) noexcept {
  if (left.who && !left.reap()) {
    of_this_process<reaper>().add(std::move(left));
  }
}

void abandon_child(left_child left, drop_policy policy, scope target) noexcept {
  if (!left.who || left.reap()) {
    return;
  }
  if (left.trail) {
    tell_hooks(left.trail->event(audit_kind::dropped_alive));
  }
  end_child(std::move(left), policy, target);
}

void end_child(left_child left, drop_policy policy, scope target) noexcept {
  if (left.who && policy != drop_policy::detach) {
    const int number = policy == drop_policy::kill ? kill_signal : stop_signal;
    if (left.who->signal(number, target)) {
      target = scope::process; // the program has joined the group
      left.who->signal(number, target);
    }
    if (const int go_on = signal_to_go_on(number)) {
      left.who->signal(go_on, target); // a halted child would keep it for ever
    }
  }
  reap_in_background(std::move(left));
}

} // namespace subproc::detail
