#include "relay.hpp"

#include <utility>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr int most_steps = 16; ///< before others of the loop have their turn

} // namespace

relay::relay(const asio::any_io_executor& executor, unique_handle from, unique_handle to,
             std::vector<filter::function> filters, ended_function ended)
    : executor_(executor), filters_(std::move(filters)), ended_(std::move(ended)),
      from_(std::move(from)), to_(std::move(to)) {}

void relay::start() {
  asio::post(executor_, [self = shared_from_this()] { self->step(); });
}

void relay::stop() {
  const std::lock_guard held(mutex_);
  stopped_ = true;
  from_ready_.cancel();
  to_ready_.cancel();
}

void relay::step() {
  try {
    for (int i = 0; i < most_steps; ++i) {
      const outcome next = move();
      if (next == outcome::over) {
        finish(nullptr);
      }
      if (next != outcome::again) {
        return;
      }
    }
  } catch (...) {
    finish(std::current_exception());
    return;
  }
  start();
}

relay::outcome relay::move() {
  if (taken_ < made_.size()) {
    return write();
  }
  return at_end_ ? outcome::over : read();
}

relay::outcome relay::write() {
  const std::lock_guard held(mutex_);
  if (stopped_) {
    return outcome::over;
  }
  error_code ec;
  taken_ += write_some(to_.get(), made_.data() + taken_, made_.size() - taken_, ec);
  if (ec == asio::error::would_block) {
    wait(to_ready_, to_.get(), true);
    return outcome::waits;
  }
  return ec ? outcome::over : outcome::again; // the reader has left: so do we, as a child would
}

relay::outcome relay::read() {
  std::size_t size = 0;
  {
    const std::lock_guard held(mutex_);
    if (stopped_) {
      return outcome::over;
    }
    error_code ec;
    size = read_some(from_.get(), buffer_.data(), buffer_.size(), ec);
    if (ec == asio::error::would_block) {
      wait(from_ready_, from_.get(), false);
      return outcome::waits;
    }
    at_end_ = static_cast<bool>(ec);
  }
  taken_ = 0;
  made_ = filtered({buffer_.data(), at_end_ ? 0 : size}, at_end_);
  return outcome::again;
}

// Each gets what the one before it has made, and an empty text once at the end.
std::string relay::filtered(std::string_view bytes, bool last) {
  std::string text(bytes);
  for (const filter::function& each : filters_) {
    std::string next;
    if (!text.empty()) {
      next = each(text);
    }
    if (last) {
      next += each({});
    }
    text = std::move(next);
  }
  return text;
}

void relay::wait(readiness& ready, native_handle_type handle, bool for_write) {
  ready.async_wait(executor_, handle, for_write,
                   [self = shared_from_this()](error_code) { self->step(); });
}

void relay::finish(std::exception_ptr error) {
  {
    const std::lock_guard held(mutex_);
    from_ready_.reset();
    to_ready_.reset();
    from_.reset();
    to_.reset();
  }
  std::exchange(ended_, nullptr)(std::move(error));
}

} // namespace subproc::detail
