#include "process_service.hpp"

#include "platform.hpp"
#include "process_core.hpp"

#include <utility>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

asio::execution_context::id process_service::id;

process_service::process_service(asio::execution_context& context)
    : asio::execution_context::service(context) {}

process_service& process_service::of(const asio::any_io_executor& executor) {
  return asio::use_service<process_service>(asio::query(executor, asio::execution::context));
}

void process_service::prepare(const asio::any_io_executor& executor) {
  if (!prepared_.load(std::memory_order_relaxed)) {
    readiness::prepare(executor);
    prepared_.store(true, std::memory_order_relaxed);
  }
}

void process_service::add(process_core& core) noexcept {
  const std::lock_guard lock(mutex_);
  if (first_) {
    first_->link.previous = &core;
  }
  core.link.next = std::exchange(first_, &core);
}

void process_service::remove(process_core& core) noexcept {
  const std::lock_guard lock(mutex_);
  auto [previous, next] = std::exchange(core.link, {});
  if (previous) {
    previous->link.next = next;
  } else if (first_ == &core) { // else it was taken out by shutdown
    first_ = next;
  }
  if (next) {
    next->link.previous = previous;
  }
}

void process_service::shutdown() noexcept {
  std::vector<std::shared_ptr<process_core>> living;
  {
    const std::lock_guard lock(mutex_);
    while (first_) {
      process_core& core = *std::exchange(first_, first_->link.next);
      core.link = {};
      if (auto alive = core.weak_from_this().lock()) {
        living.push_back(std::move(alive));
      }
    }
  }
  for (const auto& core : living) {
    core->abandon_loop();
  }
}

} // namespace subproc::detail
