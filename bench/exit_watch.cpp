// What the watch of exits by SIGCHLD costs beside that by pidfd, while other children live.

#include "harness.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace bench;

// Where pidfds are refused children are made by vfork, so the first two differ by the watch alone.
const std::vector<contestant> contestants = {
    {"vfork, pidfd", "ours vfork", "coroutine"},
    {"vfork, SIGCHLD", "ours sigchld", "coroutine"},
    {"clone3, pidfd", "ours", "coroutine"},
};

constexpr std::array counts{1, 100, 5'000};

/// One contestant over all rounds, by the number of live children.
struct figures {
  std::array<std::vector<double>, counts.size()> walls;
  std::array<std::vector<double>, counts.size()> beside_first; ///< the ratio of a round
};

/// A turn in a fresh process, with more and more live children; the medians.
std::optional<std::array<double, counts.size()>> take_turn(field& all, const contestant& who,
                                                           const options& chosen,
                                                           const std::string& child,
                                                           figures& into) {
  const std::string live = child_path("raw_pause");
  const std::string run =
      "run " + who.name + ' ' + std::to_string(chosen.spawns) + ' ' + child_path(child + "_child");
  std::array<double, counts.size()> medians{};
  all.renew(who);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (!all.request(who, "live " + std::to_string(counts[i]) + ' ' + live)) {
      return std::nullopt;
    }
    const std::optional<samples> measured = all.request(who, run);
    if (!measured) {
      return std::nullopt;
    }
    const std::vector<double> each = walls(*measured);
    into.walls[i].insert(into.walls[i].end(), each.begin(), each.end());
    medians[i] = median(each);
  }
  if (!all.request(who, "live 0 " + live)) {
    return std::nullopt;
  }
  return medians;
}

void take_round(field& all, const options& chosen, const std::string& child,
                std::vector<figures>& results) {
  std::optional<std::array<double, counts.size()>> first;
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    const auto medians = take_turn(all, contestants[i], chosen, child, results[i]);
    if (i == 0) {
      first = medians;
    }
    for (std::size_t n = 0; first && medians && n < counts.size(); ++n) {
      results[i].beside_first[n].push_back((*medians)[n] / (*first)[n]);
    }
  }
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
    std::vector<figures> results(contestants.size());
    for (int round = 0; round < chosen.rounds; ++round) {
      take_round(all, chosen, child, results);
    }
    std::cout << "\n### " << child << " child\n\n";
    std::vector<std::string> header{""};
    for (const int count : counts) {
      header.push_back(std::to_string(count) + " live: wall µs");
      header.emplace_back("p99");
      header.emplace_back("beside the first");
    }
    print_header(header);
    for (std::size_t i = 0; i < contestants.size(); ++i) {
      const figures& one = results[i];
      if (one.beside_first.back().empty()) {
        continue;
      }
      any = true;
      std::vector<std::string> row{contestants[i].label};
      for (std::size_t n = 0; n < counts.size(); ++n) {
        row.push_back(microseconds(median(one.walls[n])));
        row.push_back(microseconds(quantile(one.walls[n], 0.99)));
        row.push_back(ratio_with_spread(one.beside_first[n]));
      }
      print_row(row);
    }
    std::cout << std::flush;
  }
  print_field(all, watch);
  return any ? 0 : 1;
}
