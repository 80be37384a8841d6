#pragma once

// What the measuring programs share: options, rounds in which all contestants take turns, and
// tables. A ratio is always taken within one round, so that a machine that slows down for a while
// slows both of its sides.

#include "samples.hpp"
#include "session.hpp"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace bench {

struct options {
  int rounds = 30;
  int spawns = 40;
  std::vector<std::size_t> mebibytes = {0, 256, 1024};
  std::vector<std::string> children = {"static", "raw"};
};

template <class T>
std::vector<T> split_list(const std::string& text) {
  std::vector<T> values;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    T value{};
    std::istringstream(part) >> value;
    values.push_back(value);
  }
  return values;
}

/// Reads `--rounds N --spawns N --memory MiB,… --child static,raw`; leaves the program otherwise.
inline options parse_options(int argc, char** argv, options given) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--rounds") {
      given.rounds = std::atoi(value.c_str());
    } else if (name == "--spawns") {
      given.spawns = std::atoi(value.c_str());
    } else if (name == "--memory") {
      given.mebibytes = split_list<std::size_t>(value);
    } else if (name == "--child") {
      given.children = split_list<std::string>(value);
    } else {
      given.rounds = 0;
    }
  }
  if (argc % 2 == 0 || given.rounds < 1 || given.spawns < 1) {
    std::cerr << "usage: " << argv[0]
              << " [--rounds N] [--spawns N] [--memory MiB,...] [--child static,raw]\n";
    std::exit(2);
  }
  std::signal(SIGPIPE, SIG_IGN);
  return given;
}

inline std::string child_path(const std::string& child) {
  return (here() / "children" / child).string();
}

/// What a contestant was measured to take, over all rounds of one setting.
struct series {
  std::vector<double> wall;
  std::vector<double> held;
  std::vector<double> wall_ratio; ///< one a round
  std::vector<double> held_ratio;
  std::vector<double> wall_turn; ///< one a round; NaN for a turn that was not taken
};

/// In each round all take their turns, by number and in an order of its own; then it is weighed.
template <class Turn, class Weigh>
void in_rounds(int rounds, std::size_t contestants, Turn take_turn, Weigh weigh) {
  std::vector<std::size_t> order(contestants);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937 shuffler(1);
  for (int round = 0; round < rounds; ++round) {
    std::shuffle(order.begin(), order.end(), shuffler);
    std::for_each(order.begin(), order.end(), take_turn);
    weigh();
  }
}

struct round_plan {
  int rounds;
  int count;       ///< what one turn asks for
  int warm_up;     ///< further ones before, which are thrown away
  double compared; ///< the share whose quantiles the ratios compare: 0.5 for medians
  /// A turn asks slow contestants for fewer spawns (at least 3) when it would take longer.
  double longest_turn_ns = std::numeric_limits<double>::infinity();
};

/// A contestant's next turn, after what its last spawns took.
inline int count_of_turn(const round_plan& plan, double last_wall) {
  const double affordable = plan.longest_turn_ns / last_wall;
  return affordable < plan.count ? std::max(3, static_cast<int>(affordable)) : plan.count;
}

/// Ratios are beside the first contestant.
inline std::vector<series> run_rounds(field& all, const std::vector<contestant>& who,
                                      const std::string& program, const round_plan& plan) {
  std::vector<series> results(who.size());
  std::vector<double> wall(who.size(), std::nan(""));
  std::vector<double> held(who.size(), std::nan(""));
  const auto take_turn = [&](std::size_t turn) {
    const int count = count_of_turn(plan, wall[turn]) + plan.warm_up;
    wall[turn] = held[turn] = std::nan("");
    std::optional<samples> got = all.request(who[turn], "run " + who[turn].name + ' ' +
                                                            std::to_string(count) + ' ' + program);
    if (!got) {
      return;
    }
    got->erase(got->begin(), got->begin() + plan.warm_up);
    const std::vector<double> turn_walls = walls(*got);
    const std::vector<double> turn_helds = helds(*got);
    series& one = results[turn];
    one.wall.insert(one.wall.end(), turn_walls.begin(), turn_walls.end());
    one.held.insert(one.held.end(), turn_helds.begin(), turn_helds.end());
    wall[turn] = quantile(turn_walls, plan.compared);
    held[turn] = quantile(turn_helds, plan.compared);
  };
  in_rounds(plan.rounds, who.size(), take_turn, [&] {
    for (std::size_t i = 0; i < who.size(); ++i) {
      results[i].wall_turn.push_back(wall[i]);
      if (!std::isnan(wall[i] / wall[0])) {
        results[i].wall_ratio.push_back(wall[i] / wall[0]);
      }
      if (!std::isnan(held[i] / held[0])) {
        results[i].held_ratio.push_back(held[i] / held[0]);
      }
    }
  });
  return results;
}

inline std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return std::isnan(value) ? "–" : text;
}

/// Nanoseconds as microseconds with three significant digits.
inline std::string microseconds(double nanoseconds) {
  const double value = nanoseconds / 1e3;
  return fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0);
}

inline std::string milliseconds(double nanoseconds) { return fixed(nanoseconds / 1e6, 2); }

/// The median of the rounds' ratios, and the quartiles as its spread.
inline std::string ratio_with_spread(const std::vector<double>& ratios) {
  if (ratios.empty()) {
    return "–";
  }
  return fixed(median(ratios), 2) + " (" + fixed(quantile(ratios, 0.25), 2) + "–" +
         fixed(quantile(ratios, 0.75), 2) + ')';
}

inline std::string verdict(double measured, double limit) {
  return measured <= limit ? "met" : "missed by " + fixed((measured / limit - 1) * 100, 1) + " %";
}

inline void print_row(const std::vector<std::string>& cells) {
  for (const std::string& cell : cells) {
    std::cout << "| " << cell << ' ';
  }
  std::cout << "|\n";
}

/// The first column is text, the others are numbers.
inline void print_header(const std::vector<std::string>& cells) {
  print_row(cells);
  std::cout << "| --- ";
  for (std::size_t i = 1; i < cells.size(); ++i) {
    std::cout << "| ---: ";
  }
  std::cout << "|\n";
}

/// The first value of a "key: value" file whose key begins so.
inline std::string value_in(const char* file, const std::string& key) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(key)) {
      const auto colon = line.find(':');
      const auto start = line.find_first_not_of(" \t", colon + 1);
      return start == std::string::npos ? std::string() : line.substr(start);
    }
  }
  return "unknown";
}

inline std::size_t available_mebibytes() {
  return std::strtoul(value_in("/proc/meminfo", "MemAvailable").c_str(), nullptr, 10) >> 10;
}

/// Whether all contestants may hold that much at once; all are started.
inline bool have_memory(field& all, const std::vector<contestant>& who, std::size_t mebibytes,
                        std::ostream& left_out) {
  all.touch(who, 0);
  const std::size_t needed = mebibytes * (all.processes() + 1);
  if (needed <= available_mebibytes()) {
    return true;
  }
  left_out << "\n**Not measured: " << mebibytes << " MiB touched (" << needed
           << " MiB of memory are not there).**\n";
  return false;
}

/// How much of the processors' time went to others than this program and its descendants.
class cpu_watch {
public:
  /// Of all time since the construction, 0 to 1. All descendants must have been reaped.
  double share_of_others() const {
    const reading now = read();
    const double others = (now.busy - before_.busy) - (now.own - before_.own);
    return std::max(0.0, others / (now.all - before_.all));
  }

private:
  struct reading {
    double busy = 0;
    double all = 0;
    double own = 0;
  };

  static reading read() {
    reading now;
    std::ifstream stat("/proc/stat");
    std::string name;
    stat >> name;
    // user nice system idle iowait irq softirq steal
    for (int column = 0; column < 8; ++column) {
      double ticks = 0;
      stat >> ticks;
      now.all += ticks;
      now.busy += column == 3 || column == 4 ? 0 : ticks;
    }
    const auto ticks_a_second = static_cast<double>(sysconf(_SC_CLK_TCK));
    for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
      rusage used{};
      getrusage(who, &used);
      const auto seconds = static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec);
      const auto rest = static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
      now.own += (seconds + rest / 1e6) * ticks_a_second;
    }
    return now;
  }

  reading before_ = read();
};

inline void print_machine() {
  utsname kernel{};
  uname(&kernel);
#if defined(__clang__)
  const std::string compiler = std::string("clang ") + __clang_version__;
#else
  const std::string compiler = std::string("g++ ") + __VERSION__;
#endif
  std::cout << "Machine: " << value_in("/proc/cpuinfo", "model name") << ", "
            << std::thread::hardware_concurrency() << " cores, " << kernel.sysname << ' '
            << kernel.release << ' ' << kernel.machine << "; compiler: " << compiler << ".\n";
}

inline void print_others(const cpu_watch& watch) {
  std::cout << "\nOther programs had " << fixed(watch.share_of_others() * 100, 0)
            << " % of the processors' time meanwhile.\n";
}

/// Ends all contestants and says who took part, and who did not, by name and with the reason.
inline void print_field(field& all, const cpu_watch& watch) {
  all.end();
  print_others(watch);
  std::cout << "Took part:";
  const char* separator = " ";
  for (const std::string& version : all.versions()) {
    std::cout << separator << version;
    separator = ", ";
  }
  std::cout << ".\n";
  for (const auto& [label, reason] : all.out()) {
    std::cout << "\n**Not measured: " << label << " (" << reason << ").**\n";
  }
}

} // namespace bench
