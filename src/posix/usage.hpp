#pragma once

#include "system.hpp"

#include <subproc/result.hpp>

#include <sys/resource.h>

namespace SUBPROC_NAMESPACE::detail {

inline resource_usage usage_from(const rusage& raw) noexcept {
  const auto time = [](const timeval& value) {
    return std::chrono::seconds(value.tv_sec) + std::chrono::microseconds(value.tv_usec);
  };
  const auto count = [](long value) { return static_cast<std::uint64_t>(value); };
  resource_usage usage;
  usage.user_time = time(raw.ru_utime);
  usage.system_time = time(raw.ru_stime);
  usage.max_resident_bytes = count(raw.ru_maxrss) * sys::resident_unit;
  usage.minor_faults = count(raw.ru_minflt);
  usage.major_faults = count(raw.ru_majflt);
  usage.blocks_read = count(raw.ru_inblock);
  usage.blocks_written = count(raw.ru_oublock);
  usage.voluntary_switches = count(raw.ru_nvcsw);
  usage.involuntary_switches = count(raw.ru_nivcsw);
  return usage;
}

} // namespace subproc::detail
