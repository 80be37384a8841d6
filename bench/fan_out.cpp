// How many do-nothing commands a second: fanout and its peers beside a bare clone3 loop on as many
// threads as there are cores.

#include "bare.hpp"
#include "harness.hpp"

#include <sys/resource.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <thread>

namespace {

using namespace bench;

/// `jobs` children, `at_once` of them alive, from one loop a core.
void bare_loops(int jobs, int at_once, const char* program) {
  const int threads =
      std::min<int>(at_once, static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
  std::vector<std::thread> loops;
  for (int i = 0; i < threads; ++i) {
    const auto share = [&](int of) { return of / threads + (i < of % threads ? 1 : 0); };
    loops.emplace_back([program, mine = share(jobs), most = share(at_once)] {
      bare::clone3_loop loop(bare::table::cut);
      int live = 0;
      for (int left = mine; left > 0 || live > 0;) {
        if (left > 0 && live < most) {
          loop.watch(loop.spawn(program));
          ++live;
          --left;
        } else {
          loop.reap_next();
          --live;
        }
      }
    });
  }
  for (std::thread& each : loops) {
    each.join();
  }
}

struct tool {
  std::string label;
  std::vector<std::string> argv; ///< J stands for the number at once, CHILD for the program
  int share = 1;                 ///< of the jobs: a slow one gets one in so many
};

/// The seconds of one run with `items` as stdin; 0 when it cannot be had.
double seconds_of(const tool& who, int at_once, const std::string& child, const char* items) {
  std::vector<std::string> words = who.argv;
  for (std::string& word : words) {
    word = word == "J" ? std::to_string(at_once) : word == "CHILD" ? child : word;
  }
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t streams;
  posix_spawn_file_actions_init(&streams);
  posix_spawn_file_actions_addopen(&streams, 0, items, O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&streams, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&streams, 2, "/dev/null", O_WRONLY, 0);
  const auto start = now_ns();
  pid_t pid = -1;
  int status = -1;
  const int error = posix_spawnp(&pid, argv[0], &streams, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&streams);
  if (error != 0 || waitpid(pid, &status, 0) < 0 || status != 0) {
    return 0;
  }
  return static_cast<double>(now_ns() - start) / 1e9;
}

std::string list_of(int items, const std::string& name) {
  const std::string path = (std::filesystem::temp_directory_path() / name).string();
  std::ofstream to(path);
  for (int i = 1; i <= items; ++i) {
    to << i << '\n';
  }
  return path;
}

} // namespace

int main(int argc, char** argv) {
  if (argc == 5 && std::string(argv[1]) == "bare") {
    bare_loops(std::atoi(argv[2]), std::atoi(argv[3]), argv[4]);
    return 0;
  }
  options defaults;
  defaults.rounds = 5;
  defaults.spawns = 20'000;
  const options chosen = parse_options(argc, argv, defaults);
  const cpu_watch watch;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string fanout = (here() / ".." / "bin" / "fanout").lexically_normal().string();
  const std::vector<tool> tools{
      {"bare clone3 loops", {self, "bare", std::to_string(chosen.spawns), "J", "CHILD"}},
      {"fanout", {fanout, "-q", "-j", "J", "CHILD"}},
      {"xargs -P", {"xargs", "-n", "1", "-P", "J", "CHILD"}},
      {"GNU parallel", {"parallel", "-j", "J", "CHILD"}, 20},
  };
  print_machine();
  std::cout << "Rounds: " << chosen.rounds << ", jobs: " << chosen.spawns << ".\n";
  const std::string all = list_of(chosen.spawns, "subproc-bench-all");
  const std::string few = list_of(chosen.spawns / 20, "subproc-bench-few");
  std::vector<std::string> missing;
  for (const std::string& child : chosen.children) {
    std::cout << "\n### " << child << " child\n\n";
    print_header({"", "at once", "jobs a second", "of the bare loops' throughput"});
    for (const int at_once : {1, 2, 8}) {
      std::vector<std::vector<double>> rates(tools.size());
      std::vector<std::vector<double>> shares(tools.size());
      for (int round = 0; round < chosen.rounds; ++round) {
        double bare = 0;
        for (std::size_t i = 0; i < tools.size(); ++i) {
          const double took = seconds_of(tools[i], at_once, child_path(child + "_child"),
                                         (tools[i].share == 1 ? all : few).c_str());
          if (took > 0) {
            rates[i].push_back(chosen.spawns / tools[i].share / took);
            bare = i == 0 ? rates[i].back() : bare;
            shares[i].push_back(rates[i].back() / bare);
          }
        }
      }
      for (std::size_t i = 0; i < tools.size(); ++i) {
        if (rates[i].empty()) {
          missing.push_back(tools[i].label);
        } else {
          print_row({tools[i].label, std::to_string(at_once), fixed(median(rates[i]), 0),
                     ratio_with_spread(shares[i])});
        }
      }
    }
  }
  std::cout << "\nOther programs had " << fixed(watch.share_of_others() * 100, 0)
            << " % of the processors' time meanwhile.\n";
  for (const std::string& label : missing) {
    std::cout << "\n**Not measured: " << label << ".**\n";
  }
  std::filesystem::remove(all);
  std::filesystem::remove(few);
  return 0;
}
