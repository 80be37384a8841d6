// How many do-nothing commands a second: fanout and its peers beside a bare clone3 loop on as many
// threads as there are cores.

#include "bare.hpp"
#include "harness.hpp"

#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
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

std::string list_of(int items) {
  std::string path =
      (std::filesystem::temp_directory_path() / ("subproc-bench-" + std::to_string(items)))
          .string();
  std::ofstream to(path);
  for (int i = 1; i <= items; ++i) {
    to << i << '\n';
  }
  return path;
}

/// The seconds of one run with as many lines as stdin; 0 when it cannot be had.
double seconds_of(const tool& who, int at_once, const std::string& child, int jobs) {
  const std::string items = list_of(jobs);
  std::vector<std::string> words = who.argv;
  for (std::string& word : words) {
    word = word == "J"       ? std::to_string(at_once)
           : word == "JOBS"  ? std::to_string(jobs)
           : word == "CHILD" ? child
                             : word;
  }
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t streams;
  posix_spawn_file_actions_init(&streams);
  posix_spawn_file_actions_addopen(&streams, 0, items.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&streams, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&streams, 2, "/dev/null", O_WRONLY, 0);
  const auto start = now_ns();
  pid_t pid = -1;
  int status = -1;
  const int error = posix_spawnp(&pid, argv[0], &streams, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&streams);
  std::filesystem::remove(items);
  if (error != 0 || waitpid(pid, &status, 0) < 0 || status != 0) {
    return 0;
  }
  return static_cast<double>(now_ns() - start) / 1e9;
}

struct measured {
  std::vector<double> rates{};
  std::vector<double> shares{};
};

/// Of the bare loops' throughput, by label.
using standing = std::map<std::string, double>;

std::string best_peer(const standing& of) {
  std::string best;
  for (const auto& [label, share] : of) {
    const bool peer = !label.starts_with("fanout") && label != "bare clone3 loops" &&
                      label != "the same once more";
    if (peer && (best.empty() || share > of.at(best))) {
      best = label;
    }
  }
  return best;
}

void judge(const std::string& what, const standing& of, const std::string& other, double goal) {
  if (of.contains("fanout") && of.contains(other)) {
    const double got = of.at("fanout") / of.at(other);
    print_row({what, fixed(got, 2), "≥ " + fixed(goal, 2),
               got >= goal ? "met" : "missed by " + fixed((1 - got / goal) * 100, 0) + " %"});
  }
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
  const std::string peers = (here() / "peers").string() + "/";
  const std::vector<tool> tools{
      {"bare clone3 loops", {self, "bare", "JOBS", "J", "CHILD"}},
      {"the same once more", {self, "bare", "JOBS", "J", "CHILD"}},
      {"fanout", {fanout, "-q", "-j", "J", "CHILD"}},
      {"fanout -u", {fanout, "-q", "-u", "-j", "J", "CHILD"}},
      {"Rust, threads", {peers + "fan_out_rust", "J", "CHILD"}},
      {"Tokio", {peers + "fan_out_tokio", "J", "CHILD"}},
      {"Go, os/exec", {peers + "fan_out_go", "J", "CHILD"}, 4},
      {"xargs -P", {"xargs", "-n", "1", "-P", "J", "CHILD"}},
      {"Python, threads", {"python3", peers + "fan_out.py", "J", "CHILD"}, 4},
      {"Node, spawn", {"node", peers + "fan_out.js", "J", "CHILD"}, 4},
      {"GNU parallel", {"parallel", "-j", "J", "CHILD"}, 20},
  };
  print_machine();
  std::cout << "Rounds: " << chosen.rounds << ", jobs: " << chosen.spawns
            << "; Go, Python and Node do a quarter of them, GNU parallel a twentieth.\n";
  std::vector<std::string> missing;
  std::vector<standing> eight; // with 8 at once, by child
  for (const std::string& child : chosen.children) {
    std::cout << "\n### " << child << " child\n\n";
    print_header({"", "at once", "jobs a second", "of the bare loops' throughput"});
    for (const int at_once : {1, 2, 8}) {
      std::vector<measured> got(tools.size());
      for (int round = 0; round < chosen.rounds; ++round) {
        double bare = 0;
        for (std::size_t i = 0; i < tools.size(); ++i) {
          const int jobs = chosen.spawns / tools[i].share;
          const double took = seconds_of(tools[i], at_once, child_path(child + "_child"), jobs);
          if (took > 0) {
            got[i].rates.push_back(jobs / took);
            bare = i == 0 ? got[i].rates.back() : bare;
            got[i].shares.push_back(got[i].rates.back() / bare);
          }
        }
      }
      for (std::size_t i = 0; i < tools.size(); ++i) {
        if (got[i].rates.empty()) {
          missing.push_back(tools[i].label);
        } else {
          print_row({tools[i].label, std::to_string(at_once), fixed(median(got[i].rates), 0),
                     ratio_with_spread(got[i].shares)});
        }
      }
      if (at_once == 8) {
        standing& with = eight.emplace_back();
        for (std::size_t i = 0; i < tools.size(); ++i) {
          if (!got[i].shares.empty()) {
            with[tools[i].label] = median(got[i].shares);
          }
        }
      }
    }
  }
  std::cout << "\n### Goals, with 8 at once\n\n";
  print_header({"", "measured", "goal", ""});
  for (std::size_t i = 0; i < chosen.children.size(); ++i) {
    const bool raw = chosen.children[i] == "raw";
    const std::string begin = chosen.children[i] + " child, fanout's throughput beside ";
    const std::string best = best_peer(eight[i]);
    judge(begin + "the bare loops'", eight[i], "bare clone3 loops", raw ? 0.80 : 0.90);
    judge(begin + "xargs'", eight[i], "xargs -P", raw ? 3 : 1.5);
    judge(begin + "GNU parallel's", eight[i], "GNU parallel", raw ? 35 : 12);
    judge(begin + "the best peer's (" + best + ')', eight[i], best, 1);
  }
  std::cout << "\nOther programs had " << fixed(watch.share_of_others() * 100, 0)
            << " % of the processors' time meanwhile.\n";
  for (const std::string& label : missing) {
    std::cout << "\n**Not measured: " << label << ".**\n";
  }
  return 0;
}
