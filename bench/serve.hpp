#pragma once

// The contestant's side. Each contestant is a process of its own that takes one request a line on
// stdin and answers on stdout, so that contestants in any language take turns within one run:
//
//   (at the start)               hello <version>
//   touch <bytes>                ok 0
//   live <count> <program>       ok 0
//   memory                       ok 1, then a line "<bytes of the heap in use> <bytes resident>"
//   run <name> <count> <program> ok <lines>, then a line "<wall ns> <held ns>" for each sample
//
// A request that fails is answered by "error <text>".

#include "samples.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>

namespace bench {

/// What a contestant's process can do.
struct service {
  std::string version;
  /// By name: spawns and reaps `program` `count` times.
  std::map<std::string, std::function<samples(const std::string& program, int count)>> run;
  /// Makes `count` children live beside the measured ones; 0 reaps them all: they are about to end.
  std::function<void(int count, const std::string& program)> live;
};

[[noreturn]] inline void throw_errno(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

/// Memory with every page written, in small pages: what a fork has to copy tables for.
class touched_memory {
public:
  touched_memory() = default;
  touched_memory(const touched_memory&) = delete;
  touched_memory& operator=(const touched_memory&) = delete;
  ~touched_memory() { release(); }

  void resize(std::size_t bytes) {
    release();
    if (bytes == 0) {
      return;
    }
    void* const start =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) {
      throw_errno("mmap");
    }
    start_ = static_cast<volatile char*>(start);
    bytes_ = bytes;
    madvise(start, bytes, MADV_NOHUGEPAGE);
    for (std::size_t at = 0; at < bytes; at += 4096) {
      start_[at] = 1;
    }
  }

private:
  void release() {
    if (start_ != nullptr) {
      munmap(const_cast<char*>(start_), bytes_);
      start_ = nullptr;
    }
  }

  volatile char* start_ = nullptr;
  std::size_t bytes_ = 0;
};

/// A pipe that nobody writes into, as stdin of all children: its end lets the live ones go.
class hold_pipe {
public:
  hold_pipe() = default;
  hold_pipe(const hold_pipe&) = delete;
  hold_pipe& operator=(const hold_pipe&) = delete;
  ~hold_pipe() { let_go(); }

  void let_go() {
    if (writer_ >= 0) {
      close(writer_);
      writer_ = -1;
    }
  }

  void open() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0 || dup2(ends[0], STDIN_FILENO) < 0) {
      throw_errno("pipe2");
    }
    close(ends[0]);
    writer_ = ends[1];
  }

private:
  int writer_ = -1;
};

/// What the process has of the heap and of the system's memory, in bytes.
inline sample memory_in_use() {
  const struct mallinfo2 heap = mallinfo2();
  std::int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return {static_cast<std::int64_t>(heap.uordblks + heap.hblkhd), pages * sysconf(_SC_PAGESIZE)};
}

class server {
public:
  explicit server(service what) : service_(std::move(what)) {
    // The requests move out of the way of what the children get as stdin.
    const int requests = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    requests_ = requests < 0 ? nullptr : fdopen(requests, "r");
    if (requests_ == nullptr) {
      throw_errno("stdin");
    }
    hold_.open();
    std::cout << "hello " << service_.version << std::endl;
  }
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  ~server() { std::fclose(requests_); }

  int serve() {
    char line[4096];
    while (std::fgets(line, sizeof line, requests_) != nullptr) {
      try {
        const samples measured = answer(std::istringstream(line));
        std::ostringstream reply;
        reply << "ok " << measured.size() << '\n';
        for (const sample& one : measured) {
          reply << one.wall << ' ' << one.held << '\n';
        }
        std::cout << reply.str() << std::flush;
      } catch (const std::exception& problem) {
        std::cout << "error " << problem.what() << std::endl;
      }
    }
    return 0;
  }

private:
  samples answer(std::istringstream request) {
    std::string verb;
    request >> verb;
    if (verb == "touch") {
      std::size_t bytes = 0;
      request >> bytes;
      memory_.resize(bytes);
      return {};
    }
    if (verb == "memory") {
      return {memory_in_use()};
    }
    if (verb == "live" && service_.live) {
      int count = 0;
      request >> count;
      set_live(count, rest_of(request));
      return {};
    }
    std::string name;
    int count = 0;
    request >> name >> count;
    const auto found = service_.run.find(name);
    if (verb != "run" || found == service_.run.end()) {
      throw std::runtime_error("no such request: " + verb + ' ' + name);
    }
    return found->second(rest_of(request), count);
  }

  static std::string rest_of(std::istringstream& request) {
    std::string rest;
    std::getline(request >> std::ws, rest);
    return rest;
  }

  void set_live(int count, const std::string& program) {
    if (count != 0) {
      service_.live(count, program);
      return;
    }
    hold_.let_go();
    service_.live(0, program);
    hold_.open();
  }

  service service_;
  hold_pipe hold_;
  touched_memory memory_;
  std::FILE* requests_ = nullptr;
};

/// Serves until stdin ends. The soft limit of descriptors is raised as far as it goes.
inline int serve(service what) {
  try {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    return server(std::move(what)).serve();
  } catch (const std::exception& problem) {
    std::cout << "error " << problem.what() << std::endl;
    return 1;
  }
}

} // namespace bench
