#pragma once

#include "joblog.hpp"
#include "json.hpp"
#include "junit.hpp"
#include "options.hpp"
#include "output.hpp"
#include "report.hpp"
#include "whole_file.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

namespace fanout {

/// All that is written about the jobs, as the options ask: job log, JSON, timeline, report, test
/// cases, a folder of results. Errors are exceptions of the standard library. What it is made of
/// outlives it.
class records {
public:
  records(const options& chosen, output& to) : options_(chosen), to_(to) {}

  void open(std::chrono::system_clock::time_point began);

  /// Whether the run that is gone on with has that job; `text` as joblog::has() takes it.
  bool has(std::uint64_t number, const std::string& text) const {
    return joblog_ && joblog_->has(number, text);
  }

  void add(const job_report& told, bool stopped);

  /// That job, behind its output: what is logged was written.
  void log();

  void finish(const report_end& end);

  /// What is not finished does not stay.
  void drop();

  /// Empty for what is none of these files.
  std::string name_of(int descriptor) const;

private:
  int create(const std::string& path);
  void keep(const job_report& told) const;

  const options& options_;
  output& to_;
  std::chrono::system_clock::time_point began_{};
  std::unordered_map<int, std::string> names_{}; ///< of files that are written, by descriptor
  std::optional<joblog> joblog_{};
  std::string log_line_{};
  int json_ = -1;
  int trace_ = -1;
  bool traced_ = false;
  std::optional<report> report_{};
  std::optional<whole_file> report_file_{};
  std::optional<junit> junit_{};
};

} // namespace fanout
