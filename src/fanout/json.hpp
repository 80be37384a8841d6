#pragma once

#include "item_template.hpp"

#include <subproc/pool.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace fanout {

/// What is told of a job that has ended.
struct job_report {
  const subproc::pool_result& result;
  std::uint64_t number;
  std::size_t slot; ///< 0 when it was never started
  const row& columns;
  std::string reason; ///< of a failure
};

/// One object in a line. Text that is no UTF-8 has U+FFFD in its places.
std::string json_line(const job_report& job);

/// A complete event ("X") of the trace-event format, without a separator; times are microseconds
/// since `origin`.
std::string trace_event(const job_report& job, std::chrono::system_clock::time_point origin);

} // namespace fanout
