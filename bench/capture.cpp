// What it costs to keep 1 GiB that a child writes, beside a bare loop of reads and beside peers.

#include "harness.hpp"

#include <subproc/subproc.hpp>

#include <asio/io_context.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

namespace {

using namespace bench;

constexpr std::size_t size = std::size_t(1) << 30;
const std::string size_text = std::to_string(size);

void need(bool holds) {
  if (!holds) {
    throw std::runtime_error("not all was captured");
  }
}

// 64 KiB at a time into memory that was asked for once.
void bare_reads() {
  int ends[2];
  need(pipe2(ends, O_CLOEXEC) == 0);
  posix_spawn_file_actions_t streams;
  posix_spawn_file_actions_init(&streams);
  posix_spawn_file_actions_adddup2(&streams, ends[1], 1);
  const char* const argv[] = {"head", "-c", size_text.c_str(), "/dev/zero", nullptr};
  pid_t pid = -1;
  need(posix_spawnp(&pid, argv[0], &streams, nullptr, const_cast<char**>(argv), environ) == 0);
  posix_spawn_file_actions_destroy(&streams);
  close(ends[1]);
  const std::unique_ptr<char[]> kept(new char[size + 1]);
  std::size_t got = 0;
  for (ssize_t n = 1; n > 0; got += static_cast<std::size_t>(n)) {
    n = read(ends[0], kept.get() + got, std::min<std::size_t>(64 << 10, size + 1 - got));
    need(n >= 0);
  }
  close(ends[0]);
  int status = -1;
  need(waitpid(pid, &status, 0) == pid && status == 0 && got == size);
}

subproc::command writer() { return subproc::command("head", "-c", size_text, "/dev/zero"); }

void by_check_output() { need(subproc::check_output(writer()).size() == size); }

void on_a_loop() {
  asio::io_context context;
  std::size_t got = 0;
  async_run(context, writer().capture_output(),
            [&](std::exception_ptr error, const subproc::completed_process& result) {
              need(!error);
              got = result.out.size();
            });
  context.run();
  need(got == size);
}

std::function<void()> program(std::vector<std::string> words) {
  for (const char* const word : {"head", "-c", size_text.c_str(), "/dev/zero"}) {
    words.emplace_back(word);
  }
  return [words] { need(subproc::call(subproc::command(words).out(subproc::null)).success()); };
}

std::function<void()> fanout() {
  const std::string path = (here() / ".." / "bin" / "fanout").lexically_normal().string();
  return [path] {
    need(subproc::call(subproc::command(path, "-q", "--max-output", "0", "head", "-c", "{}",
                                        "/dev/zero", ":::", size_text)
                           .out(subproc::null))
             .success());
  };
}

struct way {
  std::string label;
  std::function<void()> capture;
  std::vector<double> wall{};
  std::vector<double> ratio{};
  bool missing = false;
};

} // namespace

int main(int argc, char** argv) {
  options defaults;
  defaults.rounds = 9;
  const options chosen = parse_options(argc, argv, defaults);
  const cpu_watch watch;
  print_machine();
  std::cout << "Rounds: " << chosen.rounds << ", bytes a turn: 1 GiB.\n\n";
  const std::string peers = (here() / "peers").string() + "/";
  std::vector<way> ways = {
      {"bare reads of 64 KiB into a kept buffer", bare_reads},
      {"the same once more", bare_reads},
      {"subproc, `check_output`", by_check_output},
      {"subproc, `async_run` on a loop", on_a_loop},
      {"fanout, which also writes it to /dev/null", fanout()},
      {"Python, `check_output`", program({"python3", peers + "capture.py"})},
      {"Rust std, `output`", program({peers + "capture_rust"})},
      {"Go, `Output`", program({peers + "capture_go"})},
      {"Node, `spawn`", program({"node", peers + "capture.js"})},
  };
  const auto take_turn = [&](std::size_t turn) {
    way& one = ways[turn];
    try {
      const auto start = now_ns();
      one.capture();
      one.wall.push_back(static_cast<double>(now_ns() - start));
    } catch (const std::exception&) {
      one.missing = true;
    }
  };
  in_rounds(chosen.rounds, ways.size(), take_turn, [&] {
    for (way& each : ways) {
      if (!each.missing) {
        each.ratio.push_back(ways.front().wall.back() / each.wall.back());
      }
    }
  });
  print_header({"", "seconds", "GiB a second", "throughput beside the bare reads"});
  for (const way& each : ways) {
    if (!each.missing) {
      print_row({each.label, fixed(median(each.wall) / 1e9, 3), fixed(1e9 / median(each.wall), 2),
                 ratio_with_spread(each.ratio)});
    }
  }
  print_others(watch);
  for (const way& each : ways) {
    if (each.missing) {
      std::cout << "\n**Not measured: " << each.label << ".**\n";
    }
  }
}
