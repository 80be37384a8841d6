#pragma once

#include <subproc/testing.hpp>

#include <memory>
#include <mutex>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

/// Whom a clock tells that time has passed.
class fake_sleeper {
public:
  virtual void wake() noexcept = 0;

protected:
  ~fake_sleeper() = default;
};

class fake_clock {
public:
  void advance(duration by);
  steady_clock::duration now() const;
  std::size_t waiting() const;

  void add(fake_sleeper& who, steady_clock::duration due);
  void remove(fake_sleeper& who) noexcept;

private:
  struct sleeper {
    fake_sleeper* who;
    steady_clock::duration due;
  };

  mutable std::mutex mutex_;
  steady_clock::duration now_{};
  std::vector<sleeper> sleepers_;
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
