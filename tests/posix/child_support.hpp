#pragma once

// What children.hpp has in another way on each platform.

#include "support.hpp"

#include <subproc/process.hpp>

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace subproc::test {

/// Blocks until a descriptor can be read: a pidfd, until its process has ended. The limit is one
/// that only what never comes would need.
inline bool readable(int descriptor, std::chrono::seconds limit = std::chrono::seconds(30)) {
  pollfd entry{descriptor, POLLIN, 0};
  int count = 0;
  do { // a handler of SIGCHLD interrupts it
    count = ::poll(&entry, 1, static_cast<int>(std::chrono::milliseconds(limit).count()));
  } while (count < 0 && errno == EINTR);
  return count == 1;
}

/// Whether it can be read now.
inline bool has_bytes(int descriptor) { return readable(descriptor, std::chrono::seconds(0)); }

/// How many bytes a pipe takes, and has.
inline std::size_t pipe_capacity(int descriptor) {
  return static_cast<std::size_t>(::fcntl(descriptor, F_GETPIPE_SZ));
}
inline std::size_t bytes_waiting(int descriptor) {
  int count = 0;
  ::ioctl(descriptor, FIONREAD, &count);
  return static_cast<std::size_t>(count);
}

/// What one read gives.
inline std::string read_once(int descriptor) {
  char block[4096];
  const ssize_t n = ::read(descriptor, block, sizeof block);
  return std::string(block, n < 0 ? 0 : static_cast<std::size_t>(n));
}

/// A pipe of the test's own.
struct test_pipe {
  test_pipe() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    read_end.reset(ends[0]);
    write_end.reset(ends[1]);
  }

  unique_handle read_end;
  unique_handle write_end;
};

/// What tells of the end of a child that is no process: readable, signalled, from then on.
class told_once {
public:
  native_handle_type handle() const { return pipe_.read_end.get(); }
  void tell() { pipe_.write_end.reset(); }

private:
  test_pipe pipe_;
};

/// The command with descriptors for its child, as the helpers name them.
inline command with_descriptors(command cmd, std::vector<fd_mapping> descriptors) {
  return std::move(cmd).map_fds(std::move(descriptors));
}

/// How a child ends that was killed.
inline exit_status killed() { return exit_status::from_signal(SIGKILL); }

/// The same of one that was asked to end.
inline exit_status terminated() { return exit_status::from_signal(SIGTERM); }

/// What a child is sent that does not answer the first signal of a stop.
inline std::vector<int> signals_of_a_forced_stop() { return {SIGTERM, SIGCONT, SIGKILL}; }

/// How a fake child ends that writes what nobody reads.
inline exit_status fake_without_reader() { return exit_status::from_signal(SIGPIPE); }

/// A child that never ends of itself.
inline command unending_child() { return command(helper("forever")); }

/// How often a test starts a child.
constexpr int starts(int count) { return times(count); }

/// Writes one byte.
inline bool write_byte(test_pipe& pipe) { return ::write(pipe.write_end.get(), "x", 1) == 1; }

/// Writes all of it, which the pipe has to have room for.
inline bool write_text(test_pipe& pipe, const std::string& text) {
  return ::write(pipe.write_end.get(), text.data(), text.size()) ==
         static_cast<ssize_t>(text.size());
}

/// The next line with its newline, or what comes before the end.
inline std::string line_of(int descriptor) {
  std::string line;
  for (char byte = 0; readable(descriptor) && ::read(descriptor, &byte, 1) == 1;) {
    line += byte;
    if (byte == '\n') {
      break;
    }
  }
  return line;
}

/// Fills it, as far as that is needed for a writer of more to be held back.
inline void fill(test_pipe& pipe) {
  REQUIRE(::fcntl(pipe.write_end.get(), F_SETPIPE_SZ, 4096) == 4096);
  REQUIRE(::write(pipe.write_end.get(), std::string(4096, 'x').data(), 4096) == 4096);
}

/// While it lives SIGPIPE ends this program, as it does by default.
class broken_pipes_kill {
public:
  broken_pipes_kill() {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    ::sigaction(SIGPIPE, &action, &before_);
  }
  broken_pipes_kill(const broken_pipes_kill&) = delete;
  broken_pipes_kill& operator=(const broken_pipes_kill&) = delete;
  ~broken_pipes_kill() { ::sigaction(SIGPIPE, &before_, nullptr); }

private:
  struct sigaction before_ {};
};

/// One of this process's own streams is another descriptor for as long as it lives.
class redirected {
public:
  redirected(int stream, int to) : stream_(stream), saved_(::fcntl(stream, F_DUPFD_CLOEXEC, 20)) {
    REQUIRE(saved_);
    REQUIRE(::dup2(to, stream) == stream);
  }
  redirected(const redirected&) = delete;
  redirected& operator=(const redirected&) = delete;
  ~redirected() { ::dup2(saved_.get(), stream_); }

private:
  int stream_;
  unique_handle saved_;
};

/// What was written into a pipe, once nobody else can write any more.
inline std::string written_to(test_pipe& pipe) {
  pipe.write_end.reset();
  std::string text;
  char block[4096];
  for (ssize_t n = 0; (n = ::read(pipe.read_end.get(), block, sizeof block)) > 0;) {
    text.append(block, static_cast<std::size_t>(n));
  }
  return text;
}

/// A folder of the test's own, and files in it.
class own_folder {
public:
  own_folder() {
    std::string name = std::filesystem::temp_directory_path() / "subproc.XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  own_folder(const own_folder&) = delete;
  own_folder& operator=(const own_folder&) = delete;
  ~own_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ / name; }

  /// Makes a file; returns its path.
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    REQUIRE(::chmod((path_ / name).c_str(), mode) == 0);
    return path_ / name;
  }
  std::string read(const std::string& name) const {
    std::ifstream in(path_ / name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }

private:
  std::filesystem::path path_;
};

/// Starts what the library keeps for good: its threads, their loops, its reserve of low
/// descriptors.
inline void warm_up() {
  static const bool done = [] {
    test_pipe gate;
    const unique_handle high(::fcntl(gate.read_end.get(), F_DUPFD_CLOEXEC, 200));
    asio::io_context context;
    process(context, command("cat").in(fd(high.get())).out(null)).detach();
    gate = test_pipe();
    async_spawn(context, command("true"), [](std::exception_ptr, process) {});
    context.run();
    return eventually([] { return !has_children(); });
  }();
  REQUIRE(done);
}

/// Put first in a case: when it goes, no descriptor and no child may be left that was not there
/// before.
class leak_check {
public:
  leak_check() {
    warm_up();
    REQUIRE(eventually([] { return !has_children() && !has_pidfds(); }));
    before_ = open_descriptors();
  }
  leak_check(const leak_check&) = delete;
  leak_check& operator=(const leak_check&) = delete;
  ~leak_check() {
    CHECK_MESSAGE(eventually([] { return !has_children(); }), "a child is left");
    // One that a thread of the library was about to close may have been there before.
    const auto none_is_new = [this] {
      const std::vector<int> now = open_descriptors();
      return std::includes(before_.begin(), before_.end(), now.begin(), now.end());
    };
    CHECK_MESSAGE(eventually(none_is_new), "descriptors: ", open_descriptors(),
                  ", before: ", before_);
  }

private:
  std::vector<int> before_;
};

} // namespace subproc::test
