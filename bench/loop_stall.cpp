// How late a loop serves others while children are spawned from it: a timer of 1 ms is armed anew
// each time it fires, and the ticks' lengths are compared. Each peer has the same on its own loop.

#include "harness.hpp"

#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace bench;

// The first is what the ratios are beside.
const std::vector<contestant> contestants = {
    {"bare clone3 loop in a helper thread", "bare", "tick-thread"},
    {"the same once more", "bare", "tick-thread", "again"},
    {"nothing spawned", "bare", "tick-idle"},
    {"subproc, `async_spawn`", "ours", "tick-async_spawn"},
    {"subproc, spawning on the loop", "ours", "tick-on-loop", "on-loop"},
    {"Boost.Process v2, vfork launcher", "peers/boost_process", "tick-vfork", "vfork"},
    {"Boost.Process v2, default launcher", "peers/boost_process", "tick-default", "default"},
    {"libuv", "peers/libuv", "tick"},
    {"Tokio, current thread", "peers/tick_tokio", "tick"},
    {"Go, a goroutine beside", "peers/tick_go", "tick"},
    {"Python, asyncio", "peers/tick.py", "tick"},
    {"Node", "peers/tick.js", "tick"},
};

bool is(const contestant& who, const char* folder) { return who.program.starts_with(folder); }

/// The p99s of a contestant beside another's, round by round, `less` taken from both.
std::vector<double> beside(const series& one, const series& other, double less) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < one.wall_turn.size(); ++i) {
    const double ratio = (one.wall_turn[i] - less) / (other.wall_turn[i] - less);
    if (!std::isnan(ratio)) {
      ratios.push_back(ratio);
    }
  }
  return ratios;
}

/// The peer whose ticks are the shortest, in the ratio that the table shows; none is the first.
std::size_t best_peer(const std::vector<series>& results) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    if (is(contestants[i], "peers/") && !results[i].wall_ratio.empty() &&
        (best == 0 || median(results[i].wall_ratio) < median(results[best].wall_ratio))) {
      best = i;
    }
  }
  return best;
}

/// A tick has its 1 ms in it, beside which a stall looks small: so what is beyond it is judged too.
void print_goal(const std::string& what, const series& one, const series& other, double limit) {
  const std::vector<double> whole = beside(one, other, 0);
  const std::vector<double> late = beside(one, other, 1e6);
  if (!whole.empty()) {
    print_row({what, "≤ " + fixed(limit, 2), ratio_with_spread(whole),
               verdict(median(whole), limit), ratio_with_spread(late),
               verdict(median(late), limit)});
  }
}

void print_goals(const std::string& title, const std::vector<series>& results) {
  const std::size_t best = best_peer(results);
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    if (is(contestants[i], "ours")) {
      const std::string what = title + ": " + contestants[i].label + ", beside ";
      print_goal(what + "the helper thread", results[i], results[0], 1.1);
      if (best != 0) {
        print_goal(what + "the best peer (" + contestants[best].label + ')', results[i],
                   results[best], 0.65);
      }
    }
  }
}

} // namespace

int main(int argc, char** argv) {
  options defaults;
  defaults.rounds = 20;
  defaults.spawns = 500;
  defaults.mebibytes = {0, 1024};
  defaults.children = {"static"};
  const options chosen = parse_options(argc, argv, defaults);
  const cpu_watch watch;
  print_machine();
  std::cout << "Rounds: " << chosen.rounds << ", spawns a turn: " << chosen.spawns << ".\n";

  field all;
  std::ostringstream left_out;
  std::vector<std::pair<std::string, std::vector<series>>> measured;
  for (const std::size_t mebibytes : chosen.mebibytes) {
    if (!have_memory(all, contestants, mebibytes, left_out)) {
      continue;
    }
    all.touch(contestants, mebibytes);
    for (const std::string& child : chosen.children) {
      // A loop that each spawn holds for long is asked for fewer of them.
      const round_plan plan{chosen.rounds, chosen.spawns, 0, 0.99, 2e9};
      const std::string title = child + " child, " + std::to_string(mebibytes) + " MiB touched";
      measured.emplace_back(title,
                            run_rounds(all, contestants, child_path(child + "_child"), plan));
      std::cout << "\n### " << title << "\n\n";
      print_header({"", "tick ms", "p99", "longest", "p99 beside the helper thread's"});
      for (std::size_t i = 0; i < contestants.size(); ++i) {
        const series& one = measured.back().second[i];
        if (!one.wall.empty()) {
          print_row({contestants[i].label, milliseconds(median(one.wall)),
                     milliseconds(quantile(one.wall, 0.99)), milliseconds(quantile(one.wall, 1)),
                     ratio_with_spread(one.wall_ratio)});
        }
      }
      std::cout << std::flush;
    }
  }
  std::cout << "\n### Goals\n\n";
  print_header({"", "goal", "p99 of the ticks", "", "of what is beyond 1 ms", ""});
  for (const auto& [title, results] : measured) {
    print_goals(title, results);
  }
  print_field(all, watch);
  std::cout << left_out.str();
  return measured.empty() || measured.front().second[0].wall.empty() ? 1 : 0;
}
