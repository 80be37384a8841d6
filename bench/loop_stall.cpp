// How late a loop serves others while children are spawned from it: a timer of 1 ms is armed anew
// each time it fires, and the ticks' lengths are compared.

#include "harness.hpp"

namespace {

using namespace bench;

// The first is what the ratios are beside.
const std::vector<contestant> contestants = {
    {"bare clone3 loop in a helper thread", "bare", "tick-thread"},
    {"the same once more", "bare", "tick-thread", "again"},
    {"nothing spawned", "bare", "tick-idle"},
    {"subproc, `async_spawn`", "ours", "tick-async_spawn"},
    {"subproc, spawning on the loop", "ours", "tick-on-loop", "on-loop"},
};

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
  bool any = false;
  for (const std::size_t mebibytes : chosen.mebibytes) {
    all.touch(contestants, mebibytes);
    for (const std::string& child : chosen.children) {
      const round_plan plan{chosen.rounds, chosen.spawns, 0, 0.99};
      const std::vector<series> results =
          run_rounds(all, contestants, child_path(child + "_child"), plan);
      std::cout << "\n### " << child << " child, " << mebibytes << " MiB touched\n\n";
      print_header({"", "tick ms", "p99", "longest", "p99 beside the helper thread's"});
      for (std::size_t i = 0; i < contestants.size(); ++i) {
        const series& one = results[i];
        if (!one.wall.empty()) {
          any = true;
          print_row({contestants[i].label, milliseconds(median(one.wall)),
                     milliseconds(quantile(one.wall, 0.99)), milliseconds(quantile(one.wall, 1)),
                     ratio_with_spread(one.wall_ratio)});
        }
      }
      std::cout << std::flush;
    }
  }
  print_field(all, watch);
  return any ? 0 : 1;
}
