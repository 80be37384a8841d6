#include "loop.hpp"

#include <asio/strand.hpp>

#include <system_error>

namespace fanout {

loop::loop() : own_(asio::make_strand(context_)) {}

void loop::run(std::size_t threads) {
  grow(threads);
  serve();
  for (std::thread& each : others_) {
    each.join();
  }
  if (error_) {
    std::rethrow_exception(error_);
  }
}

void loop::grow(std::size_t threads) {
  try {
    while (others_.size() + 1 < threads) {
      others_.emplace_back([this] { serve(); });
    }
  } catch (const std::system_error&) { // it goes on with those it has
  }
}

void loop::serve() noexcept {
  try {
    context_.run();
  } catch (...) {
    const std::lock_guard lock(mutex_);
    error_ = std::current_exception();
    context_.stop();
  }
}

} // namespace fanout
