#pragma once

#include <subproc/detail/asio.hpp>

#include <memory>
#include <mutex>
#include <unordered_set>

namespace subproc::detail {

class process_core;

/// What the processes of one execution context share: the context tells them when it goes away, so
/// that a process object may outlive its io_context.
class process_service : public asio::execution_context::service {
public:
  using key_type = process_service;
  static asio::execution_context::id id;

  explicit process_service(asio::execution_context& context);

  static process_service& of(const asio::any_io_executor& executor);

  void add(process_core* core);
  void remove(process_core* core) noexcept;

private:
  void shutdown() noexcept override;

  std::mutex mutex_;
  std::unordered_set<process_core*> cores_;
};

} // namespace subproc::detail
