// What a spawn and its reaping cost while many other children live.

#include "harness.hpp"

#include <subproc/process.hpp>

#include <asio/posix/stream_descriptor.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace bench;

const std::vector<contestant> contestants = {
    {"bare clone3 + pidfd + epoll", "bare", "clone3"},
    {"bare clone3, `CLONE_FILES` and `close_range`", "bare cut", "clone3"},
    {"the same in Asio's epoll", "bare asio", "clone3"},
    {"subproc, coroutine", "ours", "coroutine"},
};
constexpr std::size_t of_asio = 2;
constexpr std::size_t of_subproc = 3;

constexpr int few = 100;
constexpr int many = 10'000;

/// One contestant over all rounds.
struct growth {
  std::vector<double> with_few;
  std::vector<double> with_many;
  std::vector<double> ratio;
  // A live child's bytes
  std::vector<double> of_system;
  std::vector<double> resident; ///< in the contestant's process
  std::vector<double> heap;     ///< there
};

std::size_t used_kibibytes() {
  const auto read = [](const char* key) {
    return std::strtoul(value_in("/proc/meminfo", key).c_str(), nullptr, 10);
  };
  return read("MemTotal") - read("MemAvailable");
}

/// Waits until the kernel has given back what ended children leave behind, which takes it a while
/// and would be counted against who comes next.
void settle() {
  int quiet = 0;
  std::size_t last = used_kibibytes();
  for (int i = 0; i < 100 && quiet < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const std::size_t now = used_kibibytes();
    quiet = std::max(now, last) - std::min(now, last) < 1024 ? quiet + 1 : 0;
    last = now;
  }
}

/// A turn in a fresh process: few live children, then many.
void take_turn(field& all, const contestant& who, const options& chosen, const std::string& child,
               growth& into) {
  const std::string live = child_path("raw_pause");
  const std::string run =
      "run " + who.name + ' ' + std::to_string(chosen.spawns) + ' ' + child_path(child + "_child");
  const auto grow = [&](int count) {
    return all.request(who, "live " + std::to_string(count) + ' ' + live).has_value();
  };
  all.renew(who);
  settle();
  if (!grow(few)) {
    return;
  }
  const auto system_before = static_cast<double>(used_kibibytes());
  const std::optional<samples> first = all.request(who, run);
  const std::optional<samples> before = all.request(who, "memory");
  if (!first || !before || !grow(many)) {
    return;
  }
  settle();
  const auto system_after = static_cast<double>(used_kibibytes());
  const std::optional<samples> after = all.request(who, "memory");
  const std::optional<samples> second = all.request(who, run);
  if (!after || !second || !grow(0)) {
    return;
  }
  const std::vector<double> low = walls(*first);
  const std::vector<double> high = walls(*second);
  into.with_few.insert(into.with_few.end(), low.begin(), low.end());
  into.with_many.insert(into.with_many.end(), high.begin(), high.end());
  into.ratio.push_back(median(high) / median(low));
  const auto each = [](double low_bytes, double high_bytes) {
    return (high_bytes - low_bytes) / (many - few);
  };
  into.of_system.push_back(each(system_before, system_after) * 1024);
  into.heap.push_back(each(walls(*before)[0], walls(*after)[0]));
  into.resident.push_back(each(helds(*before)[0], helds(*after)[0]));
}

void print_results(const std::vector<growth>& results) {
  print_header({"", "100 live: wall µs", "p99", "10,000 live: wall µs", "p99", "10,000 beside 100",
                "a live child: system's KiB", "resident KiB", "heap bytes"});
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    const growth& one = results[i];
    if (!one.ratio.empty()) {
      print_row({contestants[i].label, microseconds(median(one.with_few)),
                 microseconds(quantile(one.with_few, 0.99)), microseconds(median(one.with_many)),
                 microseconds(quantile(one.with_many, 0.99)), ratio_with_spread(one.ratio),
                 fixed(median(one.of_system) / 1024, 0), fixed(median(one.resident) / 1024, 1),
                 fixed(median(one.heap), 0)});
    }
  }
}

/// Beside what the bare loop that does the same takes, which is the kernel's or Asio's.
void print_goals(const std::string& child, const std::vector<growth>& results) {
  const growth& ours = results[of_subproc];
  const growth& bare = results[of_asio];
  if (ours.ratio.empty()) {
    return;
  }
  const double ratio = median(ours.ratio);
  const double beyond = median(ours.heap) - median(bare.heap);
  constexpr double objects = sizeof(subproc::process) - sizeof(asio::posix::stream_descriptor);
  print_row({child + " child, wall, 10,000 beside 100", fixed(ratio, 2),
             fixed(median(bare.ratio), 2), "≤ 1.10", verdict(ratio, 1.1)});
  print_row({child + " child, heap bytes a live child, without Asio's", fixed(beyond, 0),
             fixed(median(bare.heap), 0), "", ""});
  print_row({child + " child, the same in the library, without the caller's own object",
             fixed(beyond - objects, 0), "", "≤ 1024", verdict(beyond - objects, 1024)});
}

} // namespace

int main(int argc, char** argv) {
  options defaults;
  defaults.rounds = 5;
  defaults.spawns = 500;
  const options chosen = parse_options(argc, argv, defaults);
  const cpu_watch watch;
  print_machine();
  std::cout << "Rounds: " << chosen.rounds << ", spawns a turn: " << chosen.spawns << ".\n";

  field all;
  std::vector<std::vector<growth>> measured;
  for (const std::string& child : chosen.children) {
    std::vector<growth>& results = measured.emplace_back(contestants.size());
    for (int round = 0; round < chosen.rounds; ++round) {
      for (std::size_t i = 0; i < contestants.size(); ++i) {
        take_turn(all, contestants[i], chosen, child, results[i]);
      }
    }
    std::cout << "\n### " << child << " child\n\n";
    print_results(results);
    std::cout << std::flush;
  }
  std::cout << "\n### Goals\n\n";
  print_header({"", "subproc", "bare loop in Asio's epoll", "goal", ""});
  for (std::size_t i = 0; i < measured.size(); ++i) {
    print_goals(chosen.children[i], measured[i]);
  }
  print_field(all, watch);
  return measured.empty() || measured[0][0].ratio.empty() ? 1 : 0;
}
