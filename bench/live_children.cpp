// What a spawn and its reaping cost while many other children live.

#include "harness.hpp"

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
    {"subproc, coroutine", "ours", "coroutine"},
};

constexpr int few = 100;
constexpr int many = 10'000;

/// One contestant over all rounds.
struct growth {
  std::vector<double> with_few;
  std::vector<double> with_many;
  std::vector<double> ratio;
  std::vector<double> kibibytes; ///< of the system's memory, a live child
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
  const auto before = static_cast<double>(used_kibibytes());
  const std::optional<samples> first = all.request(who, run);
  if (!first || !grow(many)) {
    return;
  }
  settle();
  const auto after = static_cast<double>(used_kibibytes());
  const std::optional<samples> second = all.request(who, run);
  if (!second || !grow(0)) {
    return;
  }
  const std::vector<double> low = walls(*first);
  const std::vector<double> high = walls(*second);
  into.with_few.insert(into.with_few.end(), low.begin(), low.end());
  into.with_many.insert(into.with_many.end(), high.begin(), high.end());
  into.ratio.push_back(median(high) / median(low));
  into.kibibytes.push_back((after - before) / (many - few));
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
  bool any = false;
  for (const std::string& child : chosen.children) {
    std::vector<growth> results(contestants.size());
    for (int round = 0; round < chosen.rounds; ++round) {
      for (std::size_t i = 0; i < contestants.size(); ++i) {
        take_turn(all, contestants[i], chosen, child, results[i]);
      }
    }
    std::cout << "\n### " << child << " child\n\n";
    print_header({"", "100 live: wall µs", "p99", "10,000 live: wall µs", "p99",
                  "10,000 beside 100", "memory a live child, KiB"});
    for (std::size_t i = 0; i < contestants.size(); ++i) {
      const growth& one = results[i];
      if (!one.ratio.empty()) {
        any = true;
        print_row({contestants[i].label, microseconds(median(one.with_few)),
                   microseconds(quantile(one.with_few, 0.99)), microseconds(median(one.with_many)),
                   microseconds(quantile(one.with_many, 0.99)), ratio_with_spread(one.ratio),
                   fixed(median(one.kibibytes), 0)});
      }
    }
    std::cout << std::flush;
  }
  print_field(all, watch);
  return any ? 0 : 1;
}
