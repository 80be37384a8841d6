#include "limits_plan.hpp"

#include <climits>

#include <sys/resource.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::size_t bits = sizeof(unsigned long) * CHAR_BIT;

} // namespace

int limit_number(resource which) noexcept {
  switch (which) {
  case resource::as:
    return RLIMIT_AS;
  case resource::core:
    return RLIMIT_CORE;
  case resource::cpu:
    return RLIMIT_CPU;
  case resource::data:
    return RLIMIT_DATA;
  case resource::fsize:
    return RLIMIT_FSIZE;
#ifdef RLIMIT_LOCKS
  case resource::locks:
    return RLIMIT_LOCKS;
#endif
#ifdef RLIMIT_MEMLOCK
  case resource::memlock:
    return RLIMIT_MEMLOCK;
#endif
#ifdef RLIMIT_MSGQUEUE
  case resource::msgqueue:
    return RLIMIT_MSGQUEUE;
#endif
#ifdef RLIMIT_NICE
  case resource::nice:
    return RLIMIT_NICE;
#endif
  case resource::nofile:
    return RLIMIT_NOFILE;
#ifdef RLIMIT_NPROC
  case resource::nproc:
    return RLIMIT_NPROC;
#endif
#ifdef RLIMIT_RSS
  case resource::rss:
    return RLIMIT_RSS;
#endif
#ifdef RLIMIT_RTPRIO
  case resource::rtprio:
    return RLIMIT_RTPRIO;
#endif
#ifdef RLIMIT_RTTIME
  case resource::rttime:
    return RLIMIT_RTTIME;
#endif
#ifdef RLIMIT_SIGPENDING
  case resource::sigpending:
    return RLIMIT_SIGPENDING;
#endif
  case resource::stack:
    return RLIMIT_STACK;
  default:
    return -1;
  }
}

void limits_plan::lower(const limits& what) {
  given_ = true;
  if (what.oom_score_adj) {
    oom_score_adj_ = std::to_string(*what.oom_score_adj);
    steps_.oom_score_adj = oom_score_adj_.data();
    steps_.oom_score_adj_size = oom_score_adj_.size();
  }
  steps_.set_nice = what.nice.has_value();
  steps_.nice = what.nice.value_or(0);
  if (what.cpus) {
    for (const int cpu : *what.cpus) {
      const auto number = static_cast<std::size_t>(cpu);
      if (number / bits >= cpus_.size()) {
        cpus_.resize(number / bits + 1);
      }
      cpus_[number / bits] |= 1UL << (number % bits);
    }
    steps_.cpus = cpus_.data();
    steps_.cpu_bytes = cpus_.size() * sizeof(unsigned long);
  }
  for (const resource_limit& each : what.rlimits) {
    const resource which = std::get<resource>(each.which); // check() has refused unknown names
    names_.push_back(which);
    rlimits_.push_back(
        {limit_number(which), {each.soft, each.hard.value_or(0)}, !each.hard.has_value()});
  }
  steps_.rlimits = rlimits_.data();
  steps_.rlimit_count = rlimits_.size();
}

std::string limits_plan::member(int where) const {
  switch (where) {
  case at_oom_score_adj:
    return "limits.oom_score_adj";
  case at_nice:
    return "limits.nice";
  case at_cpus:
    return "limits.cpus";
  default:
    return std::string("limits.") + to_string(names_.at(static_cast<std::size_t>(where)));
  }
}

} // namespace subproc::detail
