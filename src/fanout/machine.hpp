#pragma once

#include <cstdint>
#include <optional>

// What fanout asks the machine before it starts a job. Nothing where a system does not tell.
namespace fanout {

/// At least 1.
double processors();

/// Processes that run or wait for a processor just now, without this one.
std::optional<double> processes_that_run();

/// Bytes that may be taken before something is swapped out or killed; within a container its own.
std::optional<std::uint64_t> available_memory();

/// Percent of the last ten seconds in which something waited for memory, or all for storage.
std::optional<double> stalled();

} // namespace fanout
