#include "../machine.hpp"

#include <algorithm>
#include <thread>

#include <windows.h>

namespace fanout {

double processors() { return std::max(1U, std::thread::hardware_concurrency()); }

std::optional<double> processes_that_run() { return std::nullopt; }

std::optional<std::uint64_t> available_memory() {
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof status;
  return ::GlobalMemoryStatusEx(&status) ? std::optional<std::uint64_t>(status.ullAvailPhys)
                                         : std::nullopt;
}

std::optional<double> stalled() { return std::nullopt; }

} // namespace fanout
