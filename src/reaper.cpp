#include "reaper.hpp"

#include "per_process.hpp"
#include "platform.hpp"

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace subproc::detail {
namespace {

// A child that is left, on the reaper's loop.
struct watched {
  watched(asio::io_context& context, std::unique_ptr<child> who)
      : left(std::move(who)), timer(context) {}

  ~watched() { ready.reset(); }

  void look(const std::shared_ptr<watched>& self) {
    if (!left->try_wait()) {
      ready.async_wait(timer.get_executor(), left->exit_handle(), false,
                       [self](error_code ec) { self->woken(self, ec); });
    }
  }

  // Readable is not yet reapable while a debugger holds the child: ask again later.
  void woken(const std::shared_ptr<watched>& self, error_code) {
    if (left->try_wait()) {
      return;
    }
    timer.expires_after(pause);
    pause = std::min<steady_clock::duration>(2 * pause, std::chrono::seconds(1));
    timer.async_wait([self](error_code) { self->look(self); });
  }

  std::unique_ptr<child> left;
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
  void add(std::unique_ptr<child> left) {
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
    for (std::unique_ptr<child>& left : std::exchange(waiting_, {})) {
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
      } catch (const std::system_error&) {
      }
    }
  }

  // While there are no descriptors for a loop, the children are asked by time.
  void run() {
    steady_clock::duration pause = std::chrono::milliseconds(1);
    while (!make_loop()) {
      {
        const std::lock_guard lock(mutex_);
        std::erase_if(waiting_, [](const auto& left) { return left->try_wait().has_value(); });
        if (waiting_.empty()) {
          started_ = false;
          return;
        }
      }
      std::this_thread::sleep_for(pause);
      pause = std::min<steady_clock::duration>(2 * pause, std::chrono::seconds(1));
    }
    loop_->context.run();
  }

  bool make_loop() {
    const std::lock_guard lock(mutex_);
    try {
      loop_.emplace();
    } catch (const std::system_error&) {
      return false;
    }
    watch_waiting();
    return true;
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<child>> waiting_; ///< for a loop
  bool started_ = false;
  std::optional<reaper_loop> loop_;
};

} // namespace

void reap_in_background(std::unique_ptr<child> left) noexcept {
  if (left && !left->try_wait()) {
    of_this_process<reaper>().add(std::move(left));
  }
}

void abandon_child(std::unique_ptr<child> left, drop_policy policy, scope target) noexcept {
  if (!left || left->try_wait()) {
    return;
  }
  if (policy != drop_policy::detach) {
    const int number = policy == drop_policy::kill ? kill_signal : stop_signal;
    if (left->signal(number, target)) {
      target = scope::process; // the program has joined the group
      left->signal(number, target);
    }
    if (const int go_on = signal_to_go_on(number)) {
      left->signal(go_on, target); // a halted child would keep it for ever
    }
  }
  reap_in_background(std::move(left));
}

} // namespace subproc::detail
