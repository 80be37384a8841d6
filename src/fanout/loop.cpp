#include "loop.hpp"

#include <asio/post.hpp>
#include <asio/strand.hpp>

#include <system_error>
#include <utility>

namespace fanout {
namespace {

thread_local asio::io_context* loop_of_this_thread = nullptr;

} // namespace

/// On the loop of the thread that asks, so that no other is woken; of a thread that has none, on
/// one loop.
class here_executor {
public:
  explicit here_executor(asio::io_context& else_on) noexcept : else_on_(&else_on) {}

  template <class Function>
  void execute(Function&& function) const {
    asio::io_context* const on = loop_of_this_thread ? loop_of_this_thread : else_on_;
    asio::post(*on, std::forward<Function>(function));
  }

  /// Of timers and the like.
  asio::execution_context& query(asio::execution::context_t) const noexcept { return *else_on_; }
  static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
    return asio::execution::blocking.never;
  }

  friend bool operator==(const here_executor&, const here_executor&) noexcept = default;

private:
  asio::io_context* else_on_;
};

loop::loop() : own_(asio::make_strand(here_executor(first_))) {}

void loop::start(std::size_t threads) {
  try {
    while (others_.size() + 1 < threads) {
      other& next = others_.emplace_back();
      next.thread = std::thread([this, &next] { serve(next.context); });
    }
  } catch (const std::system_error&) { // it goes on with those it has
    others_.pop_back();
  }
}

std::vector<asio::any_io_executor> loop::each() {
  std::vector<asio::any_io_executor> all{first_.get_executor()};
  for (other& each : others_) {
    all.emplace_back(each.context.get_executor());
  }
  return all;
}

void loop::run() {
  serve(first_);
  for (other& each : others_) {
    each.more_comes.reset();
    each.thread.join();
  }
  if (error_) {
    std::rethrow_exception(error_);
  }
}

void loop::stop() {
  first_.stop();
  for (other& each : others_) {
    each.context.stop();
  }
}

void loop::serve(asio::io_context& context) noexcept {
  loop_of_this_thread = &context;
  try {
    context.run();
  } catch (...) {
    {
      const std::lock_guard lock(mutex_);
      error_ = std::current_exception();
    }
    stop();
  }
}

} // namespace fanout
