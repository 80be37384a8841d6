#pragma once

// What children.hpp has in another way on each platform.

#include "support.hpp"

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include <asio/io_context.hpp>
#include <asio/use_future.hpp>
#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace subproc::test {

/// Blocks until a pipe can be read. The limit is one that only what never comes would need.
inline bool readable(native_handle_type pipe,
                     std::chrono::seconds limit = std::chrono::seconds(30)) {
  return eventually([&] { return has_bytes_or_ended(pipe); }, limit);
}

/// Whether it can be read now.
inline bool has_bytes(native_handle_type pipe) { return has_bytes_or_ended(pipe); }

/// A pipe of the test's own.
struct test_pipe {
  test_pipe() {
    const plain_pipe made = make_plain_pipe();
    read_end.reset(made.reader);
    write_end.reset(made.writer);
  }

  unique_handle read_end;
  unique_handle write_end;
};

/// What tells of the end of a child that is no process: signalled from then on.
class told_once {
public:
  native_handle_type handle() const { return event_.get(); }
  void tell() { set_event(event_.get()); }

private:
  unique_handle event_{make_event()};
};

/// The command with descriptors for its child, as the helpers name them: SUBPROC_FD_9 has the
/// handle of 9.
inline command with_descriptors(command cmd,
                                const std::vector<std::pair<int, native_handle_type>>& handles) {
  environment env = environment::inherit();
  windows passed;
  for (const auto& [number, handle] : handles) {
    make_inheritable(handle);
    passed.handle_list.push_back(handle);
    env.set("SUBPROC_FD_" + std::to_string(number), std::to_string(number_of(handle)));
  }
  return std::move(cmd).env(env).with(passed);
}

/// How a child ends that was killed.
inline exit_status killed() { return exit_status::from_code(1); }

inline exit_status terminated() { return killed(); }

/// What a child is sent that does not answer the first signal of a stop. SIGKILL has no name here.
inline std::vector<int> signals_of_a_forced_stop() { return {SIGTERM, 9}; }

/// How a fake child ends that writes what nobody reads.
inline exit_status fake_without_reader() { return exit_status::from_code(1); }

/// A child that never ends of itself.
inline command unending_child() { return command(helper("tree"), "0").out(null); }

/// How often a test starts a child: under Wine a start takes 50 ms.
constexpr int starts(int count) { return (count + 9) / 10; }

/// Writes one byte.
inline bool write_byte(test_pipe& pipe) { return write_all(pipe.write_end.get(), "x"); }

/// Writes all of it, which the pipe has to have room for.
inline bool write_text(test_pipe& pipe, const std::string& text) {
  return write_all(pipe.write_end.get(), text);
}

/// The next line with its newline, or what comes before the end.
inline std::string line_of(native_handle_type pipe) {
  std::string line;
  while (!line.ends_with('\n')) {
    const std::string byte = read_once(pipe, 1);
    if (byte.empty()) {
      break;
    }
    line += byte;
  }
  return line;
}

/// Fills it, as far as that is needed for a writer of more to be held back.
inline void fill(test_pipe&) {}

/// They never do here.
class broken_pipes_kill {
public:
  broken_pipes_kill() {}
};

/// One of this process's own streams is another handle for as long as it lives.
class redirected {
public:
  redirected(int stream, native_handle_type to)
      : stream_(stream), before_(exchange_stream(stream, to)) {}
  redirected(const redirected&) = delete;
  redirected& operator=(const redirected&) = delete;
  ~redirected() { exchange_stream(stream_, before_); }

private:
  int stream_;
  native_handle_type before_;
};

/// What was written into a pipe, once nobody else can write any more.
inline std::string written_to(test_pipe& pipe) {
  pipe.write_end.reset();
  return read_all(pipe.read_end.get());
}

/// A folder of the test's own, and files in it.
class own_folder {
public:
  own_folder() : path_(fresh_path()) { std::filesystem::create_directory(path_); }
  own_folder(const own_folder&) = delete;
  own_folder& operator=(const own_folder&) = delete;
  ~own_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

  /// Makes a file; returns its path.
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return *this / name;
  }
  std::string read(const std::string& name) const {
    std::ifstream in(path_ / name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }

private:
  std::filesystem::path path_;
};

/// Starts what the library and its threads keep for good.
inline void warm_up() {
  static const bool done = [] {
    for (int i = 0; i < 2; ++i) {
      asio::io_context context;
      process child(context, command(helper("steps"), "say:x").out(piped).err(piped).in(piped));
      child.async_communicate([](error_code, const communicate_result&) {});
      context.run();
      run(command(helper("steps"), "say:x")
              .capture_output()
              .input("x")
              .timeout(std::chrono::minutes(1)));
      process(context, command(helper("steps"), "echo").in(piped).out(piped)).detach();
    }
    asio::io_context context;
    std::vector<std::future<completed_process>> runs; // by all launcher threads
    for (unsigned i = 0; i < 2 * std::thread::hardware_concurrency(); ++i) {
      runs.push_back(async_run(context, command(helper("steps")), asio::use_future));
    }
    context.run();
    for (std::future<completed_process>& each : runs) {
      each.get();
    }
    return eventually([] { return !has_children(); });
  }();
  REQUIRE(done);
}

/// Put first in a case: when it goes, no child may be left, and no more handles than before.
class leak_check {
public:
  leak_check() {
    warm_up();
    before_ = handle_count();
  }
  leak_check(const leak_check&) = delete;
  leak_check& operator=(const leak_check&) = delete;
  ~leak_check() {
    CHECK_MESSAGE(eventually([] { return !has_children(); }), "a child is left");
    CHECK_MESSAGE(eventually([this] { return handle_count() <= before_; }),
                  "handles: ", handle_count(), ", before: ", before_);
  }

private:
  unsigned long before_ = 0;
};

} // namespace subproc::test
