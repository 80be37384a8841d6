#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace fanout {

struct options {
  std::vector<std::string> words;                ///< the command with its placeholders
  std::optional<std::vector<std::string>> items; ///< after `:::`; else stdin
  std::size_t jobs = 0;                          ///< 0: one a core
  std::optional<double> timeout;
  double grace = 5;
  std::size_t max_output = 64 * 1024 * 1024;
  std::string joblog;
  bool null_separated = false;
  bool shell = false;
  bool keep_order = false;
  bool dry_run = false;
  bool bar = false;
  bool quiet = false;
};

/// The options, or the exit code after --help and the like or bad usage (255).
struct parsed {
  std::optional<options> ok;
  int exit_code = 0;
};

parsed parse(int argc, char** argv);

} // namespace fanout
