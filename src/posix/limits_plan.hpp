#pragma once

#include <subproc/limits.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

/// The kernel's own struct, whatever libc's rlim_t is.
struct kernel_rlimit {
  std::uint64_t soft;
  std::uint64_t hard;
};

struct rlimit_step {
  int resource;
  kernel_rlimit value;
  bool keep_hard;
};

/// What the child sets, in this order; null and empty mean nothing to do.
struct limit_steps {
  const char* oom_score_adj = nullptr; ///< as it is written to /proc
  std::size_t oom_score_adj_size = 0;
  bool set_nice = false;
  int nice = 0;
  const unsigned long* cpus = nullptr;
  std::size_t cpu_bytes = 0;
  const rlimit_step* rlimits = nullptr;
  std::size_t rlimit_count = 0;
};

/// Where a child failed: one of these, else the index of an rlimit.
inline constexpr int at_oom_score_adj = -1;
inline constexpr int at_nice = -2;
inline constexpr int at_cpus = -3;

/// The number of RLIMIT_…, or -1 where this system has no such limit.
int limit_number(resource which) noexcept;

/// The group `limits`, lowered; it points into itself.
class limits_plan {
public:
  limits_plan() = default;
  limits_plan(const limits_plan&) = delete;
  limits_plan& operator=(const limits_plan&) = delete;

  void lower(const limits& what);

  /// Null when there is nothing to set.
  const limit_steps* steps() const noexcept { return given_ ? &steps_ : nullptr; }

  /// The name of the member that failed, as in "limits.nofile".
  std::string member(int where) const;

private:
  limit_steps steps_;
  bool given_ = false;
  std::string oom_score_adj_;
  std::vector<unsigned long> cpus_;
  std::vector<rlimit_step> rlimits_;
  std::vector<resource> names_;
};

} // namespace subproc::detail
