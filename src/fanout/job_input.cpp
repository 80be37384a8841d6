#include "job_input.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace fanout {

std::optional<row> split_csv(std::string_view line) {
  row values(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quoted) {
      if (c != '"') {
        values.back() += c;
      } else if (i + 1 < line.size() && line[i + 1] == '"') {
        values.back() += line[++i];
      } else {
        quoted = false;
      }
    } else if (c == '"' && values.back().empty()) {
      quoted = true;
    } else if (c == ',') {
      values.emplace_back();
    } else {
      values.back() += c;
    }
  }
  return quoted ? std::nullopt : std::optional(std::move(values));
}

job_input::job_input(const options& chosen, item_template::measure room,
                     const std::function<void()>& more)
    : separator_(chosen.column_separator), csv_(chosen.csv), header_(chosen.header),
      batch_(chosen.fill && chosen.items_a_job == 0 ? SIZE_MAX : chosen.items_a_job),
      fill_(chosen.fill), empty_(std::move(room)) {
  const item_source::cut end{chosen.item_end, chosen.pipe ? chosen.block : 0};
  const auto add = [&](std::unique_ptr<item_source> items, bool linked) {
    sources_.push_back({std::move(items), linked});
  };
  for (const input& each : chosen.inputs) {
    if (!each.files) {
      add(std::make_unique<item_source>(each.words), each.linked);
      continue;
    }
    for (std::size_t i = 0; i < each.words.size(); ++i) {
      const bool linked = each.linked && i == 0;
      add(each.words[i] == "-" ? std::make_unique<item_source>(0, end, more)
                               : std::make_unique<item_source>(each.words[i], end, more),
          linked);
    }
  }
  if (sources_.empty()) {
    add(std::make_unique<item_source>(0, end, more), false);
  }
}

row job_input::columns(source& from, std::string item) const {
  if (csv_) {
    if (item.ends_with('\r')) {
      item.pop_back();
    }
    from.open_quotes += item;
    auto values = split_csv(from.open_quotes);
    if (!values) {
      from.open_quotes += '\n';
      if (from.open_quotes.size() > longest_item) {
        throw std::invalid_argument("the items are no CSV: quotes do not end within 16 MiB");
      }
      return {};
    }
    from.open_quotes.clear();
    return std::move(*values);
  }
  if (separator_.empty()) {
    return {std::move(item)};
  }
  row values;
  std::size_t at = 0;
  for (std::size_t end; (end = item.find(separator_, at)) != item.npos;
       at = end + separator_.size()) {
    values.push_back(item.substr(at, end - at));
  }
  values.push_back(item.substr(at));
  return values;
}

job_input::state job_input::next_of(source& from, row& to) {
  for (std::string item;;) {
    const state got = from.items->next(item);
    if (got != state::item) {
      if (got == state::end && !from.open_quotes.empty()) {
        throw std::invalid_argument("the items are no CSV: they end within quotes");
      }
      return got;
    }
    row values = columns(from, std::move(item));
    if (values.empty()) {
      continue; // of a record of several lines
    }
    if (header_ && !std::exchange(from.headed, true)) {
      std::ranges::move(values, std::back_inserter(names_));
      continue;
    }
    to = std::move(values);
    return state::item;
  }
}

// All of several sources, which a combination needs.
job_input::state job_input::gather() {
  for (source& each : sources_) {
    for (row values;;) {
      const state got = next_of(each, values);
      if (got == state::later) {
        return got;
      }
      if (got == state::end) {
        break;
      }
      each.rows.push_back(std::move(values));
    }
  }
  gathered_ = true;
  over_ = std::ranges::any_of(sources_, [](const source& each) { return each.rows.empty(); });
  return state::item;
}

// To the next combination; a linked source goes with the one before it, as far as both go.
bool job_input::step() {
  for (std::size_t end = sources_.size(); end > 0;) {
    std::size_t first = end - 1;
    while (sources_[first].linked) {
      --first;
    }
    bool more = true;
    for (std::size_t i = first; i < end; ++i) {
      more = more && sources_[i].at + 1 < sources_[i].rows.size();
    }
    for (std::size_t i = first; i < end; ++i) {
      sources_[i].at = more ? sources_[i].at + 1 : 0;
    }
    if (more) {
      return true;
    }
    end = first;
  }
  return false;
}

job_input::state job_input::next(row& to) {
  if (sources_.size() > 1) {
    if (!gathered_ && gather() == state::later) {
      return state::later;
    }
    if (over_) {
      return state::end;
    }
    to.clear();
    for (const source& each : sources_) {
      to.insert(to.end(), each.rows[each.at].begin(), each.rows[each.at].end());
    }
    over_ = !step();
    return state::item;
  }
  if (batch_ == 0) {
    return next_of(sources_.front(), to);
  }
  while (partial_.size() < batch_) {
    row values;
    if (left_) {
      values.push_back(std::move(*std::exchange(left_, std::nullopt)));
    } else {
      const state got = next_of(sources_.front(), values);
      if (got == state::later || (got == state::end && partial_.empty())) {
        return got;
      }
      if (got == state::end) {
        break;
      }
    }
    if (fill_ && !measure_.add(values.front())) {
      left_ = std::move(values.front());
      break;
    }
    partial_.push_back(std::move(values.front()));
  }
  measure_ = empty_;
  to = std::exchange(partial_, {});
  return state::item;
}

std::optional<std::size_t> job_input::total() const {
  if (sources_.size() == 1) {
    auto count = csv_ || fill_ ? std::nullopt : sources_.front().items->total();
    if (count && header_ && *count > 0) {
      --*count;
    }
    return count && batch_ != 0 ? (*count + batch_ - 1) / batch_ : count;
  }
  if (!gathered_) {
    return std::nullopt;
  }
  std::size_t all = 1;
  for (std::size_t i = 0; i < sources_.size();) {
    std::size_t count = sources_[i].rows.size();
    while (++i < sources_.size() && sources_[i].linked) {
      count = std::min(count, sources_[i].rows.size());
    }
    all *= count;
  }
  return all;
}

} // namespace fanout
