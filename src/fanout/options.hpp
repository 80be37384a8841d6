#pragma once

#include <subproc/limits.hpp>
#include <subproc/pool_options.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fanout {

/// What comes after a `:::` or its kin.
struct input {
  std::vector<std::string> words; ///< items, or names of files with items
  bool files = false;
  bool linked = false; ///< goes in step with the one before it
};

/// What a job has in its environment, in its command or as a limit, by the number of its try.
struct per_try {
  std::string name;
  std::vector<std::string> values;   ///< the last one also for later tries
  std::vector<std::uint64_t> limits; ///< the same, when it is the name of a limit

  std::size_t index(unsigned number_of_try) const {
    return std::min<std::size_t>(number_of_try, values.size()) - 1;
  }
  const std::string& value(unsigned number_of_try) const { return values[index(number_of_try)]; }
};

struct options {
  std::vector<std::string> words; ///< the command with its placeholders; none: items are commands
  std::vector<input> inputs;      ///< none: stdin
  std::string column_separator;
  std::size_t items_a_job = 0; ///< 0: one, in columns if they are separated
  std::size_t block = 1 << 20;
  char item_end = '\n';
  bool csv = false;
  bool header = false;
  bool fill = false; ///< as many items a job as a command line has room for
  bool pipe = false; ///< jobs get blocks of stdin
  bool shell = false;

  std::size_t jobs = 0; ///< 0: one a core
  std::optional<double> load;
  std::uint64_t free_memory = 0;
  double rate = 0;
  std::optional<double> timeout; ///< in seconds
  std::optional<double> timeout_factor;
  double grace = 5;
  subproc::retry_policy retry;
  std::vector<per_try> by_try;
  subproc::halt_policy halt;
  std::vector<subproc::resource_limit> limits;
  std::string folder;
  std::optional<std::size_t> max_output; ///< 0: no limit
  int nice = 0;
  bool adaptive = false;

  std::string results;
  std::string joblog;
  std::string json;
  std::string trace;
  std::string report;
  std::string junit;
  bool keep_order = false;
  bool by_line = false;   ///< output as it comes, by lines
  bool ungrouped = false; ///< the jobs have fanout's own outputs
  bool tag = false;
  bool resume = false;
  bool resume_failed = false;
  bool dry_run = false;
  bool bar = false;
  bool eta = false;
  bool quiet = false;
};

/// The exit code for bad usage, and for an error of fanout's own.
constexpr int own_error = 255;

/// The options, or the exit code after --help and the like or bad usage.
struct parsed {
  std::optional<options> ok;
  int exit_code = 0;
};

parsed parse(int argc, char** argv);

} // namespace fanout
