#pragma once

// The driver's side of the protocol that serve.hpp describes.

#include "samples.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace bench {

/// One contestant: what it is called in the tables and how it is reached.
struct contestant {
  std::string label;
  std::string program;  ///< the process that serves it, beside this one, with its arguments
  std::string name;     ///< what it is called there
  std::string own = {}; ///< contestants with one program and one `own` share a process
};

/// The folder of this program, which is the build's bench folder.
inline std::filesystem::path here() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

/// A process with pipes to its stdin and from its stdout.
class piped_process {
public:
  piped_process(const std::filesystem::path& program, const std::string& argument) {
    if (!std::filesystem::exists(program)) {
      throw std::runtime_error("not built");
    }
    int in[2];
    int out[2];
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
      throw std::system_error(errno, std::generic_category(), "pipe2");
    }
    requests_ = in[1];
    answers_ = out[0];
    const int error = spawn(program.string(), argument, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    if (error != 0) {
      end();
      throw std::system_error(error, std::generic_category(), program.string());
    }
  }
  piped_process(const piped_process&) = delete;
  piped_process& operator=(const piped_process&) = delete;
  ~piped_process() { end(); }

  void send(const std::string& line) {
    const std::string bytes = line + '\n';
    if (write(requests_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
      fail("it is gone");
    }
  }

  std::string read_line() {
    std::size_t end;
    while ((end = buffer_.find('\n', used_)) == std::string::npos) {
      buffer_.erase(0, used_);
      used_ = 0;
      pollfd ready{answers_, POLLIN, 0};
      if (poll(&ready, 1, patience_ms) == 0) {
        fail("it hangs");
      }
      char bytes[65536];
      const ssize_t got = read(answers_, bytes, sizeof bytes);
      if (got <= 0) {
        fail("it ended early");
      }
      buffer_.append(bytes, static_cast<std::size_t>(got));
    }
    std::string line = buffer_.substr(used_, end - used_);
    used_ = end + 1;
    return line;
  }

  [[noreturn]] void fail(const char* what) {
    broken_ = true;
    throw std::runtime_error(what);
  }

  bool broken() const { return broken_; }

private:
  int spawn(std::string program, std::string argument, int in, int out) {
    char* const argv[] = {program.data(), argument.empty() ? nullptr : argument.data(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    // The driver ignores SIGPIPE, which its contestants must not inherit.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    const int error = posix_spawn(&pid_, program.c_str(), &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
  }

  /// At the end of its stdin the process leaves; one that hangs is not waited for.
  void end() {
    close(requests_);
    if (pid_ > 0) {
      if (broken_) {
        kill(pid_, SIGKILL);
      }
      waitpid(pid_, nullptr, 0);
    }
    close(answers_);
  }

  static constexpr int patience_ms = 120'000;

  std::string buffer_;
  std::size_t used_ = 0;
  pid_t pid_ = -1;
  int requests_ = -1;
  int answers_ = -1;
  bool broken_ = false;
};

/// A running contestant. Every request throws std::runtime_error when it is not answered.
class session {
public:
  explicit session(const std::string& command_line)
      : process_(
            here() / command_line.substr(0, command_line.find(' ')),
            command_line.substr(std::min(command_line.find(' '), command_line.size() - 1) + 1)) {
    std::istringstream hello(process_.read_line());
    std::string verb;
    hello >> verb >> std::ws;
    std::getline(hello, version_);
    if (verb != "hello") {
      throw std::runtime_error(verb + ' ' + version_);
    }
  }

  const std::string& version() const { return version_; }
  bool broken() const { return process_.broken(); }

  samples request(const std::string& line) {
    process_.send(line);
    std::istringstream reply(process_.read_line());
    std::string verb;
    std::size_t count = 0;
    reply >> verb >> count;
    if (verb != "ok") {
      throw std::runtime_error(reply.str());
    }
    samples measured(count);
    for (sample& one : measured) {
      std::istringstream row(process_.read_line());
      if (!(row >> one.wall >> one.held)) {
        process_.fail("it answers nonsense");
      }
    }
    return measured;
  }

private:
  piped_process process_;
  std::string version_;
};

/// The processes of all contestants. One that cannot be had, or fails, is out, with a reason.
class field {
public:
  /// Has all contestants hold and touch that much memory, those that start later too.
  void touch(const std::vector<contestant>& all, std::size_t mebibytes) {
    mebibytes_ = mebibytes;
    sessions_.clear();
    for (const contestant& who : all) {
      of(who);
    }
  }

  /// The contestant's process, started at its first use; null once the contestant is out.
  session* of(const contestant& who) {
    if (out_.contains(who.label)) {
      return nullptr;
    }
    auto& found = sessions_[who.program + '\n' + who.own];
    if (!found) {
      try {
        found = std::make_unique<session>(who.program);
        found->request("touch " + std::to_string(mebibytes_ << 20));
        versions_.insert(found->version());
      } catch (const std::exception& problem) {
        found.reset();
        out_[who.label] = problem.what();
      }
    }
    return found.get();
  }

  /// Sends a request; a contestant that does not answer well is out.
  std::optional<samples> request(const contestant& who, const std::string& line) {
    session* const process = of(who);
    if (process == nullptr) {
      return std::nullopt;
    }
    try {
      return process->request(line);
    } catch (const std::exception& problem) {
      out_[who.label] = problem.what();
      if (process->broken()) {
        sessions_.erase(who.program + '\n' + who.own);
      }
      return std::nullopt;
    }
  }

  /// Ends the contestant's process, so that its next use starts with a fresh one.
  void renew(const contestant& who) { sessions_.erase(who.program + '\n' + who.own); }

  /// Ends all processes.
  void end() { sessions_.clear(); }

  /// Who is out, and why.
  const std::map<std::string, std::string>& out() const { return out_; }
  const std::set<std::string>& versions() const { return versions_; }
  std::size_t processes() const { return sessions_.size(); }

private:
  std::map<std::string, std::unique_ptr<session>> sessions_;
  std::map<std::string, std::string> out_;
  std::set<std::string> versions_;
  std::size_t mebibytes_ = 0;
};

} // namespace bench
