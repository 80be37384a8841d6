#include "job_queue.hpp"

#include <algorithm>
#include <utility>

namespace fanout {

job_queue::state job_queue::next(job& to) {
  switch (input_.next(to.columns)) {
  case job_input::state::end:
    return state::end;
  case job_input::state::later:
    return state::later;
  case job_input::state::item:
    break;
  }
  if (options_.pipe) {
    to.block = std::move(to.columns.front());
    to.columns.clear();
  }
  to.number = ++number_;
  if (number_ == 1) {
    commands_.name_columns(input_.names());
  }
  const bool goes_on = options_.resume || options_.resume_failed;
  if (!commands_.is_command(to) ||
      (goes_on && recorded_.has(to.number, commands_.lasting_text(to)))) {
    ++left_out_;
    return state::left_out;
  }
  return state::ready;
}

std::optional<std::size_t> job_queue::total() const {
  const std::optional<std::size_t> all = input_.total();
  return all ? std::optional(*all - std::min(*all, left_out_)) : all;
}

} // namespace fanout
