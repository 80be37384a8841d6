// How fanout passes on what its jobs write, ordered by FIFOs and signals.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "fanout_command.hpp"

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/read.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace subproc;
using namespace subproc::test;

namespace {

std::vector<std::string> sorted_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream from(text);
  for (std::string line; std::getline(from, line);) {
    lines.push_back(line);
  }
  std::ranges::sort(lines);
  return lines;
}

} // namespace

TEST_SUITE("fanout_output") {

  TEST_CASE("fanout_output: by line a line is shown while its job runs") {
    const leak_check leaks;
    const own_folder folder;
    const std::string gate = folder / "gate";
    REQUIRE(::mkfifo(gate.c_str(), 0600) == 0);
    asio::io_context context;
    process child(context, command(fanout_program(), "--line-buffer", "--tag", "sh", "-c",
                                   "echo up; read x <\"$0\"; printf down", ":::", gate)
                               .in(null)
                               .out(piped));
    std::string first(gate.size() + 4, '\0');
    asio::read(child.out(), asio::buffer(first));
    CHECK(first == gate + "\tup\n");
    std::ofstream(gate) << "go\n";
    const communicate_result rest = child.communicate();
    CHECK(rest.out == gate + "\tdown\n"); // with the end that it did not have
    CHECK(rest.status.success());
  }

  TEST_CASE("fanout_output: by line no line has a part of another job's") {
    const own_folder folder;
    for (const char* name : {"1", "2"}) {
      REQUIRE(::mkfifo((folder / name).c_str(), 0600) == 0);
    }
    const char* const script = "case $0 in a) printf a1; echo >1; read x <2; echo a2;; "
                               "b) read x <1; echo b; echo e >&2; echo >2;; esac";
    const completed_process done =
        run(fanout("-j2", "--line-buffer", "sh", "-c", script, ":::", "a", "b").cwd(folder.path()));
    CHECK(sorted_lines(done.out) == std::vector<std::string>{"a1a2", "b"});
    CHECK(done.err == "e\n");
    CHECK(done.status.success());
  }

  TEST_CASE("fanout_output: by line the memory is bounded, whatever is written") {
    const auto memory = [](const char* how) {
      const completed_process done =
          run(command(fanout_program(), how, "-j1", "head", "-c", std::to_string(times(100) << 20),
                      ":::", "/dev/zero")
                  .in(null)
                  .out(null));
      CHECK(done.status.success());
      return done.usage.max_resident_bytes;
    };
    CHECK(memory("--line-buffer") < memory("--ungroup") + (sanitized ? 128 << 20 : 32 << 20));
  }

  TEST_CASE("fanout_output: by line a reader that stalls holds up no signal") {
    const leak_check leaks;
    const test_pipe out; // from which nobody reads any more
    asio::io_context context;
    process child(context,
                  command(fanout_program(), "-j2", "-q", "--line-buffer", "yes", ":::", "a", "b")
                      .in(null)
                      .out(fd(out.write_end.get())));
    char first;
    REQUIRE(::read(out.read_end.get(), &first, 1) == 1);
    CHECK(eventually([&] {
      child.send_signal(SIGTERM);
      return child.poll().has_value();
    }));
    CHECK(child.returncode() == 143);
  }

  TEST_CASE("fanout_output: ungrouped the jobs have fanout's own outputs") {
    const own_folder folder;
    const std::string path = folder.write("out", "");
    const completed_process done =
        run(command(fanout_program(), "-u", "stat", "-L", "-c", "%i", ":::", "/dev/fd/1")
                .in(null)
                .out(file(path)));
    struct stat told {};
    REQUIRE(::stat(path.c_str(), &told) == 0);
    CHECK(folder.read("out") == std::to_string(told.st_ino) + '\n');
  }

} // TEST_SUITE
