#pragma once

#include "time_source.hpp"

#include <subproc/testing.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {

/// It begins at the steady clock's time. Its mutex is taken after all others but a loop's own.
class fake_clock final : public time_source, public std::enable_shared_from_this<fake_clock> {
public:
  void advance(duration by);
  duration passed() const;
  std::size_t waiting() const;

  steady_clock::time_point now() const noexcept override;
  std::shared_ptr<void> call_at(steady_clock::time_point when, std::function<void()> wake) override;
  void wait_ready(std::span<wait_entry> entries, steady_clock::time_point until,
                  steady_clock::time_point steady_until) override;

private:
  using key = std::pair<steady_clock::time_point, std::uint64_t>; ///< of one time as they came

  void forget(const key& which) noexcept;

  const steady_clock::time_point begin_ = steady_clock::now();
  mutable std::mutex mutex_;
  steady_clock::time_point now_ = begin_;
  std::map<key, std::function<void()>> waiting_;
  std::uint64_t last_ = 0;
};

/// What is known of one start; shared by the launcher and the child.
struct fake_record {
  std::mutex mutex;
  testing::fake_call call;
};

/// A part of the seam: a child that is a thread of this program. Throws spawn_error.
launched_child start_fake(const command& cmd, testing::script what,
                          std::shared_ptr<fake_clock> clock, std::shared_ptr<fake_record> record);

} // namespace subproc::detail
