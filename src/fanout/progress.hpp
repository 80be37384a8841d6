#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace fanout {

/// "[#####-----]  412/5,000  8 %  230/s  2 failed  ETA 0:20", fit into a width; with 0
/// without the bar, as long as it is.
std::string progress_line(std::size_t done, std::size_t failed, std::optional<std::size_t> total,
                          std::chrono::duration<double> elapsed, std::size_t width);

} // namespace fanout
