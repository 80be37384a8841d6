#pragma once

#include <subproc/detail/export.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

namespace SUBPROC_NAMESPACE::detail {

/// What a pool decides, without doing any of it: when to ask for a command, and which result to
/// deliver next.
class pool_machine {
public:
  pool_machine(std::size_t concurrency, bool keep_order);

  // What is wanted now.
  bool wants_command() const noexcept;
  /// Takes the next result to deliver, by its sequence number (from 1).
  std::optional<std::uint64_t> take_deliverable();
  bool done() const noexcept { return ended_ && running_ == 0 && undelivered() == 0; }

  // What happened.
  std::uint64_t started(); ///< a command was given; returns its number
  void source_waits() noexcept { waiting_ = true; }
  void source_ready() noexcept { waiting_ = false; }
  void source_ended() noexcept { ended_ = true; }
  void finished(std::uint64_t sequence);

  std::size_t running() const noexcept { return running_; }
  std::uint64_t count() const noexcept { return last_; }

private:
  std::size_t undelivered() const noexcept {
    return keep_order_ ? static_cast<std::size_t>(last_ - delivered_) : ready_.size();
  }

  std::size_t concurrency_;
  std::size_t most_ahead_; ///< commands that may be started beyond the oldest undelivered one
  bool keep_order_;
  bool waiting_ = false;
  bool ended_ = false;
  std::size_t running_ = 0;
  std::uint64_t last_ = 0;
  std::uint64_t delivered_ = 0;
  std::deque<std::uint64_t> ready_; ///< finished, in the order of their ends
  std::deque<bool> finished_;       ///< keep_order: from delivered_ + 1 on
};

} // namespace subproc::detail
