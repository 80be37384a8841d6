#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <string>

namespace fanout {

/// What has become of the jobs so far, what ends the run, and what is said of both.
struct ending {
  std::size_t done = 0; ///< of which `failed`
  std::size_t failed = 0;
  std::size_t stopped = 0;
  std::size_t left_at_interrupt = 0;
  bool halted = false;
  bool reader_left = false;
  int interrupts = 0;
  int interrupted_by = 0;
  std::exception_ptr error{}; ///< the first
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();

  std::chrono::duration<double> elapsed() const {
    return std::chrono::steady_clock::now() - started;
  }

  int exit_code() const;

  /// Why the run ended early, or nothing.
  std::string note() const;

  /// For stderr; `summary` in the place of a bar.
  std::string last_words(bool quiet, bool summary) const;
};

} // namespace fanout
