#include "launch_queue.hpp"

#include "per_process.hpp"
#include "platform.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {
namespace {

thread_local bool is_launcher_thread = false;

class launch_queue {
public:
  void push(std::function<void()> job) {
    bool grow = false;
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
      grow = idle_ < jobs_.size() && threads_ < most_;
      threads_ += grow ? 1 : 0;
    }
    if (grow) {
      start_thread();
    }
    wake_.notify_one();
  }

private:
  // One thread is enough to go on. With none the caller does the work: held, but served.
  void start_thread() {
    try {
      start_background_thread([this] { run(); });
      return;
    } catch (const system_error&) {
    }
    std::unique_lock lock(mutex_);
    --threads_;
    while (threads_ == 0 && !jobs_.empty()) {
      take_one(lock);
    }
  }

  void take_one(std::unique_lock<std::mutex>& lock) {
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
  }

  void run() {
    is_launcher_thread = true;
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      wake_.wait(lock, [this] { return !jobs_.empty(); });
      --idle_;
      take_one(lock);
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  std::size_t idle_ = 0;
  std::size_t threads_ = 0;
  const std::size_t most_ = std::max(1U, std::thread::hardware_concurrency());
};

} // namespace

void launch_later(std::function<void()> job) {
  of_this_process<launch_queue>().push(std::move(job));
}

bool on_launcher_thread() noexcept { return is_launcher_thread; }

launcher_role::launcher_role() noexcept : before_(std::exchange(is_launcher_thread, true)) {}

launcher_role::~launcher_role() { is_launcher_thread = before_; }

} // namespace subproc::detail
