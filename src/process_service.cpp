#include "process_service.hpp"

#include "process_core.hpp"

#include <vector>

namespace subproc::detail {

asio::execution_context::id process_service::id;

process_service::process_service(asio::execution_context& context)
    : asio::execution_context::service(context) {}

process_service& process_service::of(const asio::any_io_executor& executor) {
  return asio::use_service<process_service>(asio::query(executor, asio::execution::context));
}

void process_service::add(process_core* core) {
  const std::lock_guard lock(mutex_);
  cores_.insert(core);
}

void process_service::remove(process_core* core) noexcept {
  const std::lock_guard lock(mutex_);
  cores_.erase(core);
}

void process_service::shutdown() noexcept {
  std::vector<std::shared_ptr<process_core>> living;
  {
    const std::lock_guard lock(mutex_);
    for (process_core* core : cores_) {
      if (auto alive = core->weak_from_this().lock()) {
        living.push_back(std::move(alive));
      }
    }
    cores_.clear();
  }
  for (const auto& core : living) {
    core->abandon_loop();
  }
}

} // namespace subproc::detail
