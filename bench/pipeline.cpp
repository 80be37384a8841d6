// What 1 GiB through three stages costs when the library has joined them, beside the shell's own
// pipeline of the same programs. All take turns, in changing order.

#include "harness.hpp"

#include <subproc/subproc.hpp>

#include <asio/io_context.hpp>

#include <cstdlib>
#include <exception>
#include <string>

namespace {

using namespace bench;

constexpr const char* size = "1073741824";

// /bin/sh, which has to make the same three children.
void by_shell() {
  const std::string line = std::string("head -c ") + size + " /dev/zero | cat | cat >/dev/null";
  if (std::system(line.c_str()) != 0) {
    std::exit(1);
  }
}

subproc::pipeline stages(long long pipe_size) {
  subproc::command head("head", "-c", size, "/dev/zero");
  subproc::command cat("cat");
  if (pipe_size != 0) {
    head.pipe_size(pipe_size);
    cat.pipe_size(pipe_size);
  }
  return (head | cat | subproc::command("cat").out(subproc::null))
      .policy(subproc::pipeline_policy::pipefail)
      .check();
}

void by_run() { subproc::run(stages(0)); }

void by_run_with_large_pipes() { subproc::run(stages(1 << 20)); }

void on_a_loop() {
  asio::io_context context;
  async_run(context, stages(0), [](std::exception_ptr error, const subproc::pipeline_result&) {
    if (error) {
      std::rethrow_exception(error);
    }
  });
  context.run();
}

struct way {
  const char* label;
  void (*move)();
  std::vector<double> wall{};
  std::vector<double> ratio{};
};

} // namespace

int main(int argc, char** argv) {
  options defaults;
  defaults.rounds = 15;
  const options chosen = parse_options(argc, argv, defaults);
  const cpu_watch watch;
  print_machine();
  std::cout << "Rounds: " << chosen.rounds << ", bytes a turn: 1 GiB.\n\n";
  std::vector<way> ways = {
      {"the shell: `head -c 1G /dev/zero \\| cat \\| cat >/dev/null`", by_shell},
      {"the same once more", by_shell},
      {"subproc, `run`", by_run},
      {"subproc, `async_run` on a loop", on_a_loop},
      {"subproc, `run`, `pipe_size` of 1 MiB", by_run_with_large_pipes},
  };
  const auto take_turn = [&](std::size_t turn) {
    const auto start = now_ns();
    ways[turn].move();
    ways[turn].wall.push_back(static_cast<double>(now_ns() - start));
  };
  in_rounds(chosen.rounds, ways.size(), take_turn, [&] {
    for (way& each : ways) {
      each.ratio.push_back(ways.front().wall.back() / each.wall.back());
    }
  });
  print_header({"", "seconds", "GiB a second", "throughput beside the shell"});
  for (const way& each : ways) {
    print_row({each.label, fixed(median(each.wall) / 1e9, 3), fixed(1e9 / median(each.wall), 2),
               ratio_with_spread(each.ratio)});
  }
  print_others(watch);
}
