// What one spawn and its reaping cost, and how long the call that spawns keeps its caller.

#include "harness.hpp"

#include <sstream>
#include <string>
#include <tuple>
#include <vector>

namespace {

using namespace bench;

// The first is what the ratios are beside; the second is the same thing once more, so that its
// ratio shows how far the measurement can be trusted.
const std::vector<contestant> contestants = {
    {"bare clone3 + pidfd + epoll", "bare", "clone3"},
    {"the same once more", "bare", "clone3", "again"},
    {"bare clone3, `CLONE_FILES` and `close_range`", "bare cut", "clone3"},
    {"bare vfork + wait4", "bare", "vfork"},
    {"posix_spawn + waitid", "bare", "posix_spawn"},
    {"subproc, blocking `run`", "ours", "blocking", "blocking"},
    {"subproc, coroutine", "ours", "coroutine", "coroutine"},
    {"subproc, `async_spawn`", "ours", "async_spawn", "async_spawn"},
    {"Rust std", "peers/spawn_rust", "spawn"},
    {"libuv", "peers/libuv", "spawn"},
    {"Boost.Process v2, vfork launcher", "peers/boost_process", "vfork", "vfork"},
    {"Boost.Process v2, default launcher", "peers/boost_process", "default", "default"},
};

/// What this project set itself, in the median of the ratios beside bare clone3.
struct goal {
  std::string child;
  std::string label;
  bool held;
  double limit;
};

const std::vector<goal> goals = {
    {"static", "subproc, blocking `run`", false, 1.03},
    {"static", "subproc, coroutine", false, 1.03},
    {"raw", "subproc, blocking `run`", false, 1.08},
    {"raw", "subproc, coroutine", false, 1.08},
    {"static", "subproc, coroutine", true, 1.10},
    {"raw", "subproc, coroutine", true, 1.10},
};

const series* find(const std::vector<series>& results, const std::string& label) {
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    if (contestants[i].label == label && !results[i].wall.empty()) {
      return &results[i];
    }
  }
  return nullptr;
}

std::string title(const std::string& child, std::size_t mebibytes) {
  return child + " child, " + std::to_string(mebibytes) + " MiB touched";
}

void print_results(const std::string& heading, const std::vector<series>& results) {
  std::cout << "\n### " << heading << "\n\n";
  print_header({"", "wall µs", "p99", "beside bare", "caller held µs", "p99", "beside bare"});
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    const series& one = results[i];
    if (!one.wall.empty()) {
      print_row({contestants[i].label, microseconds(median(one.wall)),
                 microseconds(quantile(one.wall, 0.99)), ratio_with_spread(one.wall_ratio),
                 microseconds(median(one.held)), microseconds(quantile(one.held, 0.99)),
                 ratio_with_spread(one.held_ratio)});
    }
  }
}

void print_goals(const std::string& child, std::size_t mebibytes,
                 const std::vector<series>& results) {
  const std::string where = title(child, mebibytes);
  for (const goal& one : goals) {
    const series* const who = find(results, one.label);
    if (one.child == child && who != nullptr) {
      const double measured = median(one.held ? who->held_ratio : who->wall_ratio);
      print_row({where + ": " + one.label + (one.held ? ", caller held" : ", wall"),
                 fixed(measured, 3), "≤ " + fixed(one.limit, 2), verdict(measured, one.limit)});
    }
  }
  if (const series* const who = find(results, "subproc, `async_spawn`")) {
    const double held = median(who->held) / 1e3;
    print_row({where + ": subproc, `async_spawn`, caller held", fixed(held, 2) + " µs", "≤ 5 µs",
               verdict(held, 5)});
  }
}

} // namespace

int main(int argc, char** argv) {
  const options chosen = parse_options(argc, argv, {});
  const cpu_watch watch;
  print_machine();
  std::cout << "Rounds: " << chosen.rounds << ", spawns a turn: " << chosen.spawns << ".\n";

  field all;
  std::ostringstream left_out;
  std::vector<std::tuple<std::string, std::size_t, std::vector<series>>> measured;
  for (const std::size_t mebibytes : chosen.mebibytes) {
    if (!have_memory(all, contestants, mebibytes, left_out)) {
      continue;
    }
    all.touch(contestants, mebibytes);
    for (const std::string& child : chosen.children) {
      const round_plan plan{chosen.rounds, chosen.spawns, 3, 0.5, 50e6};
      measured.emplace_back(child, mebibytes,
                            run_rounds(all, contestants, child_path(child + "_child"), plan));
      print_results(title(child, mebibytes), std::get<2>(measured.back()));
      std::cout << std::flush;
    }
  }

  std::cout << "\n### Goals\n\n";
  print_header({"", "measured", "goal", ""});
  for (const auto& [child, mebibytes, results] : measured) {
    print_goals(child, mebibytes, results);
  }
  print_field(all, watch);
  std::cout << left_out.str();
  return measured.empty() || std::get<2>(measured.front())[0].wall.empty() ? 1 : 0;
}
