#pragma once

// The calls of helpers/steps.cpp, which has no buffers of its own.

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <string>

#include <direct.h>
#include <io.h>

namespace raw {

constexpr std::size_t most_at_once = 1 << 30;

/// What was written; below zero, with errno, of an error.
inline long write_some(int stream, const char* data, std::size_t size) {
  return ::_write(stream, data, static_cast<unsigned>(std::min(size, most_at_once)));
}

/// What was read; 0 at the end, below zero, with errno, of an error.
inline long read_some(int stream, char* data, std::size_t size) {
  return ::_read(stream, data, static_cast<unsigned>(std::min(size, most_at_once)));
}

inline bool close_stream(int stream) { return ::_close(stream) == 0; }

/// Ends the program, and nothing before.
[[noreturn]] inline void exit_now(int code) { std::_Exit(code); }

inline std::string working_directory() {
  char path[4096];
  return ::_getcwd(path, sizeof path) != nullptr ? path : "";
}

} // namespace raw
