#pragma once

#include "../posix/plan.hpp"

#include <array>
#include <cstddef>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {

/// Low descriptor numbers kept free for children, so that what a child needs lies below what the
/// program has open and the rest of the table need not be copied. They are reserved when the
/// first spawn meets a descriptor of 64 or more; a program with few open never sees them.
class low_descriptors {
public:
  /// Gives the numbers back, and the plan its own sources.
  class lease {
  public:
    lease() = default;
    lease(lease&& other) noexcept
        : plan_(other.plan_), taken_(other.taken_), count_(std::exchange(other.count_, 0)) {}
    lease& operator=(lease&& other) = delete;
    ~lease();

  private:
    friend class low_descriptors;
    static constexpr std::size_t most = 8;

    struct slot {
      int number;
      std::size_t move; ///< of the plan, whose source it stands for
      int source;
    };

    child_plan* plan_ = nullptr;
    std::array<slot, most> taken_{};
    std::size_t count_ = 0;
  };

  /// Copies the plan's high sources to low numbers and makes the plan use them. Does nothing when
  /// there are too many or no low number is free: then the spawn costs a copy of the table.
  static lease lower(launch_plan& plan);
};

} // namespace subproc::detail
