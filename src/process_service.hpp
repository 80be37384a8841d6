#pragma once

#include <subproc/detail/asio.hpp>

#include <atomic>
#include <memory>
#include <mutex>

namespace SUBPROC_NAMESPACE::detail {

class process_core;

/// The place of a core among those of its context.
struct service_link {
  process_core* previous = nullptr;
  process_core* next = nullptr;
};

/// What the processes of one execution context share: the context tells them when it goes away, so
/// that a process object may outlive its io_context.
class process_service : public asio::execution_context::service {
public:
  using key_type = process_service;
  static asio::execution_context::id id;

  explicit process_service(asio::execution_context& context);

  static process_service& of(const asio::any_io_executor& executor);

  /// Makes the loop open what waits and timers need, once. Throws system_error.
  void prepare(const asio::any_io_executor& executor);

  void add(process_core& core) noexcept;
  void remove(process_core& core) noexcept;

private:
  void shutdown() noexcept override;

  std::atomic<bool> prepared_ = false;
  std::mutex mutex_;
  process_core* first_ = nullptr;
};

} // namespace subproc::detail
