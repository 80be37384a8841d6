// How fanout passes on what its jobs write: by job, by line, or not at all.

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

  TEST_CASE("fanout_output: by line each try is shown, and what is kept is that of the last") {
    const own_folder folder;
    const completed_process done =
        run(fanout("-q", "--line-buffer", "--retries", "1", "--results", folder / "r", "--json",
                   folder / "json", "--joblog", folder / "log", "sh", "-c",
                   "echo try $FANOUT_TRY; exit 3", ":::", "x"));
    CHECK(done.out == "try 1\ntry 2\n");
    CHECK(folder.read("r/1/stdout") == "try 2\n");
    CHECK(folder.read("json").find("\"stdout\":\"try 2\\n\"") != std::string::npos);
    CHECK(folder.read("log").find("\t6\t3\t0\t") != std::string::npos);
    CHECK(done.status.exit_code() == 1);
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

  TEST_CASE("fanout_output: by line an endless job ends when the reader has gone") {
    const completed_process done = run(
        command("sh", "-c", "\"$0\" -q --line-buffer -j2 yes ::: a a | head -n 2", fanout_program())
            .capture_output());
    CHECK(sorted_lines(done.out) == std::vector<std::string>{"a", "a"});
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
    CHECK(run(fanout("-u", "sh", "-c", "exit {}", ":::", "0", "1")).status.exit_code() == 1);
  }

  TEST_CASE("fanout_output: ways that exclude each other are refused") {
    for (const char* other : {"--line-buffer", "-k", "--tag", "--results=/tmp/x", "--json=-"}) {
      CAPTURE(other);
      const completed_process done = run(fanout("-u", other, "echo", ":::", "a"));
      CHECK(done.status.exit_code() == 255);
      CHECK(done.err.find("--ungroup") != std::string::npos);
      CHECK(done.out == "");
    }
    CHECK(run(fanout("--line-buffer", "-k", "echo", ":::", "a")).status.exit_code() == 255);
    CHECK(run(fanout("--group", "-k", "--tag", "echo", ":::", "a")).out == "a\ta\n");
  }

  TEST_CASE("fanout_output: the time left is told without a terminal") {
    const completed_process done = run(fanout("--eta", "-j1", "true", ":::", "1", "2", "3"));
    CHECK(done.err.starts_with("fanout: 1/3  "));
    CHECK(done.err.find("ETA ") != std::string::npos);
    CHECK(std::ranges::count(done.err, '\n') == 1);
    CHECK(done.err.find('\r') == std::string::npos);
  }

} // TEST_SUITE
