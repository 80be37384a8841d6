#pragma once

#include <subproc/detail/export.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace SUBPROC_NAMESPACE {

/// What setrlimit(2) can bound, without its prefix RLIMIT_.
enum class resource {
  as,
  core,
  cpu,
  data,
  fsize,
  locks,
  memlock,
  msgqueue,
  nice,
  nofile,
  nproc,
  rss,
  rtprio,
  rttime,
  sigpending,
  stack,
};

/// "nofile"
SUBPROC_API const char* to_string(resource which) noexcept;

/// The resource of a name, in any case and with or without its prefix: "nofile", "RLIMIT_NOFILE".
SUBPROC_API std::optional<resource> find_resource(std::string_view name) noexcept;

/// The value of a limit that does not limit (RLIM_INFINITY).
inline constexpr std::uint64_t unlimited = static_cast<std::uint64_t>(-1);

/// One limit, in the unit of its resource (setrlimit(2)): bytes, seconds or a count.
struct resource_limit {
  /// The soft limit alone; the hard one stays, and bounds it.
  resource_limit(resource what, std::uint64_t soft_limit) : which(what), soft(soft_limit) {}
  resource_limit(resource what, std::uint64_t soft_limit, std::uint64_t hard_limit)
      : which(what), soft(soft_limit), hard(hard_limit) {}
  /// By name; one that find_resource() does not know is refused when the command is started.
  resource_limit(std::string_view name, std::uint64_t soft_limit)
      : which(find(name)), soft(soft_limit) {}
  resource_limit(std::string_view name, std::uint64_t soft_limit, std::uint64_t hard_limit)
      : which(find(name)), soft(soft_limit), hard(hard_limit) {}

  std::variant<resource, std::string> which; ///< a name only where it is unknown
  std::uint64_t soft;
  std::optional<std::uint64_t> hard;

  friend bool operator==(const resource_limit&, const resource_limit&) = default;

private:
  static std::variant<resource, std::string> find(std::string_view name) {
    if (const std::optional<resource> known = find_resource(name)) {
      return *known;
    }
    return std::string(name);
  }
};

/// What a child may use, for `command::with()`. Everything is set in the child, after its
/// descriptors are in place and before it gives up root's rights, so that these count.
///
///     command("make").with(limits{.rlimits = {{"nofile", 256}, {resource::cpu, 60, 90}},
///                                 .nice = 10})
///
/// What the kernel refuses is a spawn_error of step limits that names the member. A limit of memory
/// or of processes may also refuse or kill the program itself, when it is executed (setrlimit(2)).
struct limits {
  std::vector<resource_limit> rlimits = {};

  /// The nice value itself, -20 to 19, not an increment to the caller's as in nice(1).
  std::optional<int> nice = {};

  /// The CPUs that the child may run on, by number; the kernel leaves out those that it does not
  /// have, and refuses when none is left.
  std::optional<std::vector<int>> cpus = {};

  /// -1000 (never) to 1000 (first) when the kernel has to kill for memory.
  std::optional<int> oom_score_adj = {};

  friend bool operator==(const limits&, const limits&) = default;
};

} // namespace subproc
