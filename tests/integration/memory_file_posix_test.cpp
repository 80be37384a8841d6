#include <subproc/memory_file.hpp>

#include <subproc/run.hpp>

#include "children.hpp"
#include "own_process.hpp"
#include "platform.hpp"
#include "refused_calls.hpp"
#include "run_part_as.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace subproc;
using namespace subproc::test;

namespace {

constexpr std::array memory_launchers{launcher_kind::none, launcher_kind::vfork,
                                      launcher_kind::fork};
constexpr int nobody = 54321;
constexpr int many_pipes = 54399; // a user whose pipes are short, here alone
const std::string secret = "correct horse battery staple";

// The largest is more than any pipe holds.
const std::vector<std::size_t> sizes{0, 1, 4096, 65536, 65537, 5'000'000};

void check_handle() {
  const unique_handle file = memory_file("some bytes");
  CHECK((::fcntl(file.get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(::lseek(file.get(), 0, SEEK_CUR) == 0);
  CHECK(::lseek(file.get(), 0, SEEK_END) == 10);
  CHECK(::write(file.get(), "x", 1) < 0);
  CHECK(::ftruncate(file.get(), 3) < 0);
  char buffer[16];
  CHECK(::pread(file.get(), buffer, sizeof buffer, 5) == 5);
  CHECK(std::string(buffer, 5) == "bytes");
}

void check_children() {
  for (const launcher_kind kind : memory_launchers) {
    CAPTURE(to_string(kind));
    const auto by = make_launcher(kind);
    for (const std::size_t size : sizes) {
      CAPTURE(size);
      const std::string bytes = pattern(size);
      const command from_stdin = command("cat").in(memory(bytes)).launcher(by);
      const command from_descriptor =
          command("cat", "/proc/self/fd/7").pass_bytes(7, bytes).launcher(by);
      for (int again = 0; again < 2; ++again) { // each start has them from the beginning
        CHECK((check_output(from_stdin) == bytes));
        CHECK((check_output(from_descriptor) == bytes));
      }
    }
    // Read twice, from any place: it is a file.
    CHECK(check_output(
              shell("tail -c 5 <&3; cat /dev/fd/3").pass_bytes(3, "some bytes").launcher(by)) ==
          "bytessome bytes");
  }
}

std::size_t names_in_shared_memory() {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    count += entry.path().filename().string().starts_with("subproc-") ? 1 : 0;
  }
  return count;
}

} // namespace

TEST_SUITE("memory_file") {

  TEST_CASE("memory_file: holds the bytes from its start, to be read only") {
    const leak_check leaks;
    check_handle();
  }

  TEST_CASE("memory_file: bytes of any size reach stdin and other descriptors, at each start") {
    const leak_check leaks;
    check_children();
    // Nor can it be written by a child that opens it anew, which of a file root could.
    if (platform_has(feature::memory_seal) || ::geteuid() != 0) {
      CHECK_FALSE(
          run(shell("echo x 1<>/dev/fd/3").err(null).pass_bytes(3, "some")).status.success());
    }
  }

  TEST_CASE("memory_file: where there is no memfd it is a file without a name") {
    if (const std::string part = own_part(); !part.empty()) {
      refuse_from_now_on({{SYS_memfd_create}}, std::stoi(part));
      warm_up(); // the library's own
      const std::vector<int> before = open_descriptors();
      check_handle();
      check_children();
      if (::geteuid() == 0) {
        CHECK(check_output(shell("cat /dev/stdin; cat /dev/fd/3")
                               .in(memory("one "))
                               .pass_bytes(3, "two")
                               .user(nobody)
                               .group(nobody)) == "one two");
      }
      CHECK(open_descriptors() == before);
      return;
    }
    const leak_check leaks;
    const std::size_t before = names_in_shared_memory();
    run_part(std::to_string(ENOSYS));
    run_part(std::to_string(EPERM));
    CHECK(names_in_shared_memory() == before);
  }

  // A kernel does not seal pages against writing that are in use for a moment, as moved ones are.
  TEST_CASE("memory_file: is sealed when the kernel is busy, and when it is old") {
    if (const std::string part = own_part(); !part.empty()) {
      constexpr int rest = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
      const bool busy = part == "busy";
      const int refused = rest | (busy ? F_SEAL_WRITE : F_SEAL_FUTURE_WRITE);
      refuse_from_now_on({{SYS_fcntl, refused, 2}}, busy ? EBUSY : EINVAL);
      check_handle();
      CHECK(check_output(command("cat").in(memory("some bytes"))) == "some bytes");
      return;
    }
    if (!platform_has(feature::memory_seal)) {
      MESSAGE("excused here: the platform has no seals");
      return;
    }
    const leak_check leaks;
    run_part("busy");
    run_part("old");
  }

  TEST_CASE("memory_file: a child has what it was passed and no more [T13]") {
    const leak_check leaks;
    test_pipe gate;
    for (const launcher_kind kind : memory_launchers) {
      CAPTURE(to_string(kind));
      const std::string open = check_output(command(helper("descriptors"))
                                                .in(memory("for stdin"))
                                                .map_fds({{4, gate.read_end.get()}})
                                                .pass_bytes(9, "file")
                                                .pass_bytes(3, "pipe", bytes_form::pipe)
                                                .launcher(make_launcher(kind)));
      std::istringstream lines(open);
      std::string numbers;
      for (std::string line; std::getline(lines, line);) {
        numbers += line.substr(0, line.find(' ')) + ' ';
      }
      CHECK(numbers == "0 1 2 3 4 9 ");
    }
  }

  TEST_CASE("memory_file: a user without the caller's rights can read what is passed") {
    if (::geteuid() != 0) {
      MESSAGE("left out: needs root");
      return;
    }
    const leak_check leaks;
    const command cmd = shell("cat /dev/stdin; cat /dev/fd/3; cat <&4")
                            .in(memory("one "))
                            .pass_bytes(3, "two ")
                            .pass_bytes(4, "three", bytes_form::pipe)
                            .user(nobody)
                            .group(nobody);
    CHECK(check_output(cmd) == "one two three");
    CHECK(check_output(cmd) == "one two three");
  }

  TEST_CASE("memory_file: a pipe gives its bytes once and has no beginning to go back to") {
    const leak_check leaks;
    const std::string most = pattern(65536);
    for (const std::string& bytes : {std::string(), secret, most}) {
      const command cmd =
          shell("cat <&3; test -p /dev/fd/3 && cat <&3").pass_bytes(3, bytes, bytes_form::pipe);
      CHECK((check_output(cmd) == bytes));
      CHECK((check_output(cmd) == bytes));
    }
    const spawn_error refused =
        spawn_error_of([&] { run(command("true").pass_bytes(3, most + 'x', bytes_form::pipe)); });
    CHECK(refused.step() == spawn_step::arguments);
    CHECK(refused.path() == "pass_bytes");
  }

  TEST_CASE("memory_file: a pipe that is too small is an error, and no half of a secret") {
    // A user who has many pipes gets them small (pipe-user-pages-soft), root never does.
    if (own_part().empty()) {
      const leak_check leaks;
      run_part_as(many_pipes, "1");
      return;
    }
    const rlimit many{4096, 4096};
    if (::setrlimit(RLIMIT_NOFILE, &many) != 0) {
      std::_Exit(left_out);
    }
    std::vector<test_pipe> pipes(1);
    while (::fcntl(pipes.back().write_end.get(), F_GETPIPE_SZ) >= 65536) {
      if (pipes.size() == 1500) {
        std::_Exit(left_out);
      }
      ::fcntl(pipes.back().write_end.get(), F_SETPIPE_SZ, 1 << 20); // while there is room
      pipes.emplace_back();
    }
    const std::string most = pattern(65536);
    const spawn_error error =
        spawn_error_of([&] { run(command("true").pass_bytes(3, most, bytes_form::pipe)); });
    CHECK(error.step() == spawn_step::memory);
    CHECK(error.path() == "pass_bytes");
    CHECK(error.code() == std::errc::no_buffer_space);
    CHECK(run(command("true").pass_bytes(3, most)).status.success());
  }

  TEST_CASE("memory_file: secrets show in no argument, variable, text or error") {
    const leak_check leaks;
    const command cmd = shell("tr '\\0' '\\n' </proc/self/cmdline; cat /proc/self/environ")
                            .in(memory(secret))
                            .pass_bytes(3, secret)
                            .pass_bytes(4, secret, bytes_form::pipe);
    const auto silent = [](const std::string& text) {
      return text.find(secret) == std::string::npos;
    };
    CHECK(silent(to_string(cmd)));
    CHECK(silent(check_output(cmd)));
    for (const command& bad :
         {command(cmd).executable("/no/such"), command(cmd).cwd("/no/such"),
          command(cmd).pass_bytes(3, secret), command(cmd).pass_bytes(1, secret)}) {
      CHECK(silent(spawn_error_of([&] { run(bad); }).what()));
    }
    try {
      run(command(cmd).executable("/bin/false").check());
      FAIL("no exception");
    } catch (const called_process_error& error) {
      CHECK(silent(error.what()));
    }
  }

} // TEST_SUITE
