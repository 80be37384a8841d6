#pragma once

// The calls of helpers/steps.cpp, which has no buffers of its own.

#include <cerrno>
#include <cstddef>
#include <string>

#include <unistd.h>

namespace raw {

/// What was written; below zero, with errno, of an error.
inline long write_some(int stream, const char* data, std::size_t size) {
  ssize_t n = 0;
  do {
    n = ::write(stream, data, size);
  } while (n < 0 && errno == EINTR);
  return n;
}

/// What was read; 0 at the end, below zero, with errno, of an error.
inline long read_some(int stream, char* data, std::size_t size) {
  ssize_t n = 0;
  do {
    n = ::read(stream, data, size);
  } while (n < 0 && errno == EINTR);
  return n;
}

inline bool close_stream(int stream) { return ::close(stream) == 0; }

/// Ends the program, and nothing before.
[[noreturn]] inline void exit_now(int code) { ::_exit(code); }

inline std::string working_directory() {
  char path[4096];
  return ::getcwd(path, sizeof path) != nullptr ? path : "";
}

} // namespace raw
