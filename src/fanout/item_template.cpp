#include "item_template.hpp"

#include "console.hpp"

#include <subproc/error.hpp>
#include <subproc/launcher.hpp>
#include <subproc/quote.hpp>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

namespace fanout {
namespace {

std::string_view without_extension(std::string_view item) {
  const std::size_t dot = name_in(item).find_last_of('.');
  if (dot == item.npos || dot == 0) {
    return item;
  }
  return item.substr(0, item.size() - name_in(item).size() + dot);
}

// For the script of a shell. What cannot be quoted is the same: make() refuses its job.
std::string quoted(std::string_view item) {
  return quoted_for_shell(item).value_or(std::string(item));
}

/// Refuses the start: one bad item fails alone.
class no_start final : public subproc::launcher {
public:
  explicit no_start(std::string item) : item_(std::move(item)) {}

  subproc::launched_child start(const subproc::command&) override {
    const bool shows = item_.find('\0') == item_.npos;
    throw subproc::spawn_error(subproc::detail::generic_error(std::errc::invalid_argument),
                               subproc::spawn_step::arguments, "--shell",
                               "the item " + (shows ? subproc::quote(item_) : "with a NUL byte") +
                                   " cannot be quoted for this shell, which may take a part of it "
                                   "for a command");
  }

private:
  std::string item_;
};

} // namespace

std::string joined(const row& parts) {
  std::string all;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    (all += i == 0 ? "" : " ") += parts[i];
  }
  return all;
}

item_template::item_template(std::vector<std::string> words, bool shell, bool items,
                             std::vector<per_try> by_try)
    : words_(std::move(words)), by_try_(std::move(by_try)), shell_(shell), items_(items) {
  find_items();
}

void item_template::name_columns(std::vector<std::string> names) {
  names_ = std::move(names);
  find_items();
}

std::optional<item_template::placeholder> item_template::read(std::string_view name,
                                                              bool behind_dollar) const {
  using what = placeholder::what;
  using form = placeholder::form;
  if (name == "#") {
    return placeholder{what::number};
  }
  if (name == "%") {
    return placeholder{what::slot};
  }
  constexpr std::pair<std::string_view, form> forms[] = {{"", form::whole},
                                                         {"//", form::folder},
                                                         {"/.", form::bare_base},
                                                         {"/", form::base},
                                                         {".", form::no_extension}};
  for (const auto& [ending, as] : forms) {
    if (!name.ends_with(ending)) {
      continue;
    }
    const std::string_view which = name.substr(0, name.size() - ending.size());
    if (which.empty()) {
      return placeholder{what::all, as};
    }
    std::size_t number = 0;
    const auto [end, ec] = std::from_chars(which.data(), which.data() + which.size(), number);
    if (ec == std::errc() && end == which.data() + which.size() && number != 0) {
      return placeholder{what::column, as, number - 1};
    }
    if (const auto found = std::ranges::find(names_, which); found != names_.end()) {
      return placeholder{what::column, as, static_cast<std::size_t>(found - names_.begin())};
    }
    const auto by_try = std::ranges::find(by_try_, which, &per_try::name);
    if (by_try != by_try_.end() && !behind_dollar) {
      return placeholder{what::value, as, static_cast<std::size_t>(by_try - by_try_.begin())};
    }
  }
  return std::nullopt;
}

// Calls use(text, placeholder or nothing) for what a word is made of.
template <class Use>
void item_template::each_part(std::string_view word, Use use) const {
  while (!word.empty()) {
    const std::size_t open = word.find('{');
    if (open != 0) {
      use(word.substr(0, open), std::nullopt);
    }
    if (open == word.npos) {
      return;
    }
    const bool behind_dollar = open != 0 && word[open - 1] == '$';
    word.remove_prefix(open);
    const std::size_t close = word.find_first_of("{}", 1);
    const auto found = close != word.npos && word[close] == '}'
                           ? read(word.substr(1, close - 1), behind_dollar)
                           : std::nullopt;
    const std::size_t size = found ? close + 1 : 1;
    use(word.substr(0, size), found);
    word.remove_prefix(size);
  }
}

void item_template::find_items() {
  append_ = items_;
  for (const std::string& word : words_) {
    each_part(word, [&](std::string_view, const std::optional<placeholder>& found) {
      append_ = append_ && !(found && found->of_item());
    });
  }
}

item_template::measure item_template::measured(std::size_t room) const {
  measure all;
  all.shell_ = shell_;
  all.room_ = room;
  for (const std::string& word : words_) {
    measure::word next;
    each_part(word, [&](std::string_view text, const std::optional<placeholder>& found) {
      if (found && found->of_item()) {
        ++(text.size() == word.size() && !shell_ ? next.alone : next.within);
      } else {
        next.size += found ? widest(*found) : text.size();
      }
    });
    all.words_.push_back(next);
  }
  if (append_) {
    all.words_.push_back({0, shell_ ? 0U : 1U, shell_ ? 1U : 0U});
  }
  return all;
}

bool item_template::measure::add(const std::string& item) {
  const std::size_t size = shell_ ? quoted(item).size() : item.size();
  std::vector<word> next = words_;
  std::size_t taken = 0;
  std::size_t script = 0;
  bool fits = true;
  for (word& each : next) {
    each.size += each.alone * argument_size(size) + each.within * (size + 1);
    script += each.size + 1;
    taken += each.alone != 0 ? each.size : argument_size(each.size);
    fits = fits && (each.alone != 0 || each.size <= longest_argument());
  }
  fits = fits && taken <= room_ && (!shell_ || script <= longest_argument());
  if (any_ && !fits) {
    return false;
  }
  any_ = true;
  words_ = std::move(next);
  return true;
}

bool item_template::varies() const {
  using what = placeholder::what;
  bool has = false;
  for (const std::string& word : words_) {
    each_part(word, [&](std::string_view, const std::optional<placeholder>& found) {
      has = has || (found && (found->of == what::slot || found->of == what::value));
    });
  }
  return has;
}

// Bytes of what is not of an item.
std::size_t item_template::widest(const placeholder& which) const {
  std::size_t most = 20; // digits
  if (which.of == placeholder::what::value) {
    for (const std::string& value : by_try_[which.index].values) {
      most = std::max(most, shell_ ? quoted(value).size() : value.size());
    }
  }
  return most;
}

row item_template::texts(const placeholder& which, const job& of) const {
  const auto shaped = [&](std::string_view item) {
    switch (which.as) {
    case placeholder::form::no_extension:
      item = without_extension(item);
      break;
    case placeholder::form::base:
      item = name_in(item);
      break;
    case placeholder::form::folder:
      item = folder_of(item);
      break;
    case placeholder::form::bare_base:
      item = without_extension(name_in(item));
      break;
    default:
      break;
    }
    return shell_ ? quoted(item) : std::string(item);
  };
  switch (which.of) {
  case placeholder::what::number:
    return {std::to_string(of.number)};
  case placeholder::what::slot:
    return {std::to_string(of.slot)};
  case placeholder::what::column:
    return {which.index < of.columns.size() ? shaped(of.columns[which.index]) : ""};
  case placeholder::what::value:
    return {shaped(by_try_[which.index].value(of.number_of_try))};
  default: {
    row all;
    std::ranges::transform(of.columns, std::back_inserter(all), shaped);
    return all;
  }
  }
}

subproc::command item_template::make(const job& of) const {
  std::vector<std::string> argv;
  for (const std::string& word : words_) {
    std::string filled;
    bool spread = false;
    each_part(word, [&](std::string_view text, const std::optional<placeholder>& found) {
      if (!found) {
        filled += text;
        return;
      }
      row parts = texts(*found, of);
      if (text.size() == word.size() && parts.size() != 1) {
        spread = true;
        std::ranges::move(parts, std::back_inserter(argv));
      } else {
        filled += joined(parts);
      }
    });
    if (!spread) {
      argv.push_back(std::move(filled));
    }
  }
  if (append_) {
    std::ranges::move(texts({placeholder::what::all}, of), std::back_inserter(argv));
  }
  if (!shell_) {
    return subproc::command(argv);
  }
  subproc::command script = subproc::shell(joined(argv));
  row used = of.columns;
  for (const per_try& each : by_try_) {
    used.push_back(each.value(of.number_of_try));
  }
  const auto bad = std::ranges::find_if(
      used, [](const std::string& item) { return !quoted_for_shell(item).has_value(); });
  if (bad != used.end()) {
    script.launcher(std::make_shared<no_start>(*bad));
  }
  return script;
}

} // namespace fanout
