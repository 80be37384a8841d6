#include "reaper.hpp"

#include "platform.hpp"

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <system_error>
#include <utility>

namespace subproc::detail {
namespace {

class reaper {
public:
  // Immortal: children may outlive static destruction.
  static reaper& instance() {
    static reaper* const one = new reaper;
    return *one;
  }

  void add(std::unique_ptr<child> left) {
    auto entry = std::make_shared<watched>(context_, std::move(left));
    asio::post(context_, [entry] { entry->look(entry); });
    start_thread();
  }

private:
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

  reaper() : work_(asio::make_work_guard(context_)) {}

  // No room for a thread now: the children wait as zombies for the next attempt.
  void start_thread() noexcept {
    const std::lock_guard lock(mutex_);
    if (!started_) {
      try {
        start_background_thread([this] { context_.run(); });
        started_ = true;
      } catch (const std::system_error&) {
      }
    }
  }

  std::mutex mutex_;
  bool started_ = false;
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
};

} // namespace

void reap_in_background(std::unique_ptr<child> left) noexcept {
  if (left && !left->try_wait()) {
    reaper::instance().add(std::move(left));
  }
}

void abandon_child(std::unique_ptr<child> left, drop_policy policy, scope target) noexcept {
  if (!left || left->try_wait()) {
    return;
  }
  if (policy != drop_policy::detach) {
    const int number = policy == drop_policy::kill ? kill_signal : stop_signal;
    if (left->signal(number, target)) {
      left->signal(number, scope::process); // the program has joined the group
    }
  }
  reap_in_background(std::move(left));
}

} // namespace subproc::detail
