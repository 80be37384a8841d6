#include "../machine.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <thread>

#include <unistd.h>

namespace fanout {
namespace {

// The value behind `name` in a file of lines "name: value kB".
std::optional<std::uint64_t> kilobytes(const char* path, const std::string& name) {
  std::ifstream from(path);
  std::string word;
  std::uint64_t value = 0;
  while (from >> word) {
    if (word == name && from >> value) {
      return value * 1024;
    }
    from.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return std::nullopt;
}

std::optional<std::uint64_t> number_in(const std::string& path) {
  std::ifstream from(path);
  std::uint64_t value = 0;
  return from >> value ? std::optional(value) : std::nullopt; // "max" is no number
}

// Of the control group (v2) that this process is in.
std::optional<std::uint64_t> left_in_group() {
  std::ifstream from("/proc/self/cgroup");
  std::string line;
  while (std::getline(from, line)) {
    if (line.starts_with("0::")) {
      const std::string folder = "/sys/fs/cgroup" + line.substr(3);
      const auto most = number_in(folder + "/memory.max");
      const auto used = number_in(folder + "/memory.current");
      if (most && used) {
        return *most - std::min(*most, *used);
      }
    }
  }
  return std::nullopt;
}

// The first value of the line that begins so, "some avg10=1.23 avg60=…" (Linux, pressure stall
// information).
std::optional<double> pressure(const char* path, const std::string& line) {
  std::ifstream from(path);
  std::string name;
  std::string average;
  while (from >> name >> average) {
    if (name == line && average.starts_with("avg10=")) {
      return std::strtod(average.c_str() + 6, nullptr);
    }
    from.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return std::nullopt;
}

} // namespace

double processors() { return std::max(1U, std::thread::hardware_concurrency()); }

std::optional<double> processes_that_run() {
  // The fourth word of /proc/loadavg, "3/412", is of this moment; the first three lag by minutes.
  std::ifstream from("/proc/loadavg");
  double minute = 0;
  double other = 0;
  double now = 0;
  if (from >> minute >> other >> other >> now) {
    return std::max(0.0, now - 1);
  }
  return ::getloadavg(&minute, 1) == 1 ? std::optional(minute) : std::nullopt;
}

std::optional<std::uint64_t> available_memory() {
  const auto machine = kilobytes("/proc/meminfo", "MemAvailable:");
  const auto group = left_in_group();
  return machine && group ? std::min(machine, group) : machine ? machine : group;
}

std::optional<double> stalled() {
  const auto memory = pressure("/proc/pressure/memory", "some");
  const auto storage = pressure("/proc/pressure/io", "full");
  return memory && storage ? std::max(memory, storage) : memory ? memory : storage;
}

} // namespace fanout
