#pragma once

#include "item_template.hpp"
#include "job.hpp"
#include "options.hpp"

#include <subproc/command.hpp>
#include <subproc/pool.hpp>

#include <string>
#include <vector>

namespace fanout {

/// What the jobs run: the command line with its placeholders filled in or, without one, their
/// items; in the environment, under the limits and in the folder of the options, which outlive it.
class job_commands {
public:
  explicit job_commands(const options& chosen);

  /// Of a job without an item.
  item_template::measure measured() const;

  void name_columns(std::vector<std::string> names);

  /// Not an empty line or a comment. Throws std::invalid_argument for what is no command.
  bool is_command(const job& of) const;

  /// In words, as its first try on the first slot.
  std::string text(const job& of) const { return to_string(bare(of, 1, 1)); }
  /// The same where it is the same whenever the job is run.
  std::string lasting_text(const job& of) const { return lasts_ ? text(of) : ""; }

  /// All but its outputs.
  subproc::command make(const job& of, const subproc::job_try& which) const;

private:
  subproc::command bare(const job& of, std::size_t slot, unsigned number_of_try) const;

  const options& options_;
  item_template template_;
  bool lasts_;
};

} // namespace fanout
