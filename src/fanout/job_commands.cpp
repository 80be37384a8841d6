#include "job_commands.hpp"

#include "console.hpp"

#include <subproc/quote.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <variant>

namespace fanout {

job_commands::job_commands(const options& chosen)
    : options_(chosen),
      template_(chosen.words, chosen.shell, !chosen.pipe && !chosen.words.empty(), chosen.by_try),
      lasts_(!template_.varies()) {}

item_template::measure job_commands::measured() const {
  std::uint64_t stack = subproc::unlimited; // bytes
  for (const subproc::resource_limit& each : options_.limits) {
    const auto* const known = std::get_if<subproc::resource>(&each.which);
    stack = known && *known == subproc::resource::stack ? std::min(stack, each.soft) : stack;
  }
  return template_.measured(room_for_arguments(stack));
}

void job_commands::name_columns(std::vector<std::string> names) {
  template_.name_columns(std::move(names));
}

bool job_commands::is_command(const job& of) const {
  if (!options_.words.empty()) {
    return true;
  }
  const std::string& line = of.columns.front();
  const std::size_t first = line.find_first_not_of(" \t\r");
  if (first == line.npos || line[first] == '#') {
    return false;
  }
  try {
    return !subproc::split(line).empty();
  } catch (const subproc::system_error& error) {
    throw std::invalid_argument(
        fmt::format("line {} is no command: {}: {}", of.number, line, error.what()));
  }
}

subproc::command job_commands::bare(const job& of, std::size_t slot, unsigned number_of_try) const {
  if (!options_.words.empty()) {
    return template_.make({of.columns, of.number, slot, number_of_try});
  }
  const std::string& line = of.columns.front();
  return options_.shell ? subproc::shell(line) : subproc::command(subproc::split(line));
}

subproc::command job_commands::make(const job& of, const subproc::job_try& which) const {
  subproc::command cmd = bare(of, which.slot, which.number);
  if (options_.pipe) {
    cmd.input(of.block);
  } else {
    cmd.in(empty_input());
  }
  // A group of its own: a time-out or a stop takes all that the job has started.
  cmd.process_group(0);
  cmd.die_with_parent(jobs_die_with_fanout);
  subproc::environment variables = subproc::environment::inherit()
                                       .set("FANOUT_SEQ", std::to_string(of.number))
                                       .set("FANOUT_SLOT", std::to_string(which.slot))
                                       .set("FANOUT_TRY", std::to_string(which.number));
  std::vector<subproc::resource_limit> limits = options_.limits;
  for (const per_try& each : options_.by_try) {
    variables.set(each.name, each.value(which.number));
    if (!each.limits.empty()) { // instead of --limit: a hard limit cannot be raised again
      const std::uint64_t most = each.limits[each.index(which.number)];
      const subproc::resource_limit limit(each.name, most, most);
      std::erase_if(limits, [&](const auto& other) { return other.which == limit.which; });
      limits.push_back(limit);
    }
  }
  cmd.env(std::move(variables));
  if (!limits.empty()) {
    cmd.with(subproc::limits{.rlimits = std::move(limits)});
  }
  if (options_.timeout) {
    cmd.timeout(std::chrono::duration<double>(*options_.timeout));
  }
  if (!options_.folder.empty()) {
    cmd.cwd(options_.folder);
  }
  return cmd;
}

} // namespace fanout
