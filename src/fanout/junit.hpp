#pragma once

#include "json.hpp"
#include "whole_file.hpp"

#include <chrono>
#include <cstdint>
#include <string>

namespace fanout {

/// A test case for each job, in the XML that build servers take from JUnit. How many there are
/// stands before them and is known last: it needs a file that can be gone back in.
class junit {
public:
  /// Throws std::system_error, as the others do.
  junit(const std::string& path, std::chrono::system_clock::time_point began);

  void add(const job_report& job, bool stopped);
  void finish(std::chrono::duration<double> elapsed);

private:
  std::string start(double seconds) const;

  whole_file file_;
  std::chrono::system_clock::time_point began_;
  std::uint64_t tests_ = 0;
  std::uint64_t failures_ = 0;
  std::uint64_t errors_ = 0;
  std::uint64_t skipped_ = 0;
};

} // namespace fanout
