#pragma once

#include "json.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fanout {

/// What is known when all has ended.
struct report_end {
  std::string title; ///< the command with its placeholders
  std::string note;  ///< why it ended early
  std::chrono::system_clock::time_point began;
  std::chrono::duration<double> elapsed{};
  int exit_code = 0;
};

/// One page about all jobs, in memory that does not grow with them: the slowest and the first that
/// failed, a histogram, and a timeline whose bars are joined when they become too many.
class report {
public:
  explicit report(std::chrono::system_clock::time_point began) : began_(began) {}

  /// So much of an output is shown.
  static constexpr std::size_t most_output = 2048;

  void add(const job_report& job, bool stopped);

  /// HTML that needs no other file, no network and no script.
  std::string page(const report_end& end) const;

private:
  struct row {
    std::uint64_t number;
    std::size_t slot;
    std::string command;
    std::string status;
    unsigned tries;
    double seconds;
    std::uint64_t memory;
    std::string out;
    std::string err;
  };

  /// One job, or several neighbours of one slot.
  struct bar {
    double from;
    double to;
    std::uint64_t first; ///< the number of one of them
    std::uint64_t jobs = 1;
    std::uint64_t failed = 0;
    std::uint64_t stopped = 0;
    std::string command{}; ///< of a single job
  };

  struct lane {
    std::uint64_t jobs = 0;
    std::uint64_t failed = 0;
    double busy = 0;
    std::vector<bar> bars{};
  };

  struct bin {
    std::uint64_t jobs = 0;
    std::uint64_t failed = 0;
  };

  void draw(const job_report& job, bool stopped);
  void join_bars();

  std::string summary(const report_end& end) const;
  std::string timeline(double seconds) const;
  std::string histogram() const;
  static std::string table(const char* id, const std::string& caption,
                           const std::vector<const row*>& rows);

  std::chrono::system_clock::time_point began_;
  std::uint64_t jobs_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t stopped_ = 0;
  std::uint64_t again_ = 0; ///< tries after the first
  std::uint64_t most_memory_ = 0;
  double longest_ = 0;
  std::chrono::microseconds processor_time_{};
  std::vector<row> slowest_; ///< a heap, the quickest of them first
  std::vector<row> first_failed_;
  std::array<bin, 32> bins_{};
  std::vector<lane> lanes_; ///< by slot
  std::size_t bars_ = 0;
  double joined_within_ = 0;    ///< neighbours become one bar if it is no longer than this
  std::uint64_t not_drawn_ = 0; ///< jobs of slots that have no line
};

} // namespace fanout
