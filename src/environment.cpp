#include <subproc/environment.hpp>

#include "environ.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>

namespace SUBPROC_NAMESPACE {
namespace {

// Names with a value each: one array, as this is looked at for each start.
class name_table {
public:
  explicit name_table(std::size_t most) : slots_(std::bit_ceil(2 * most + 1)) {}

  // The value of a name, which is added with this one when it is not there.
  std::pair<std::size_t&, bool> insert(std::string_view name, std::size_t value) {
    for (std::size_t at = detail::variable_hash(name);; ++at) {
      slot& here = slots_[at & (slots_.size() - 1)];
      if (here.name.data() == nullptr) {
        here = {name, value};
        return {here.value, true};
      }
      if (detail::same_variable(here.name, name)) {
        return {here.value, false};
      }
    }
  }

private:
  struct slot {
    std::string_view name;
    std::size_t value = 0;
  };

  std::vector<slot> slots_;
};

// Empty for what is no variable. Looked for from 1: Windows keeps names such as `=C:`.
std::string_view name_of(std::string_view entry) {
  const std::size_t end = entry.find('=', 1);
  return end == std::string_view::npos ? std::string_view() : entry.substr(0, end);
}

// A `*` at the end of a pattern stands for any rest.
bool matches(std::string_view name, std::string_view pattern) {
  if (pattern.ends_with('*')) {
    pattern.remove_suffix(1);
    name = name.substr(0, pattern.size());
  }
  return detail::same_variable(name, pattern);
}

} // namespace

environment::environment(std::initializer_list<std::pair<std::string, std::string>> variables) {
  for (const auto& [name, value] : variables) {
    edit(name, value);
  }
}

environment environment::inherit() {
  environment result;
  result.inherits_ = true;
  return result;
}

environment environment::clean() { return clean(detail::clean_variables()); }

environment environment::clean(std::span<const std::string_view> keep) {
  environment result;
  const std::vector<std::string> inherited = detail::caller_environment();
  name_table seen(inherited.size()); // getenv(3) finds the first of several
  for (const std::string& entry : inherited) {
    const std::string_view name = name_of(entry);
    const auto wanted = [&](std::string_view pattern) { return matches(name, pattern); };
    if (!name.empty() && std::ranges::any_of(keep, wanted) && seen.insert(name, 0).second) {
      result.edits_.emplace_back(name, entry.substr(name.size() + 1));
    }
  }
  return result;
}

environment& environment::set(std::string name, std::string value) & {
  edit(std::move(name), std::move(value));
  return *this;
}

environment environment::set(std::string name, std::string value) && {
  return std::move(set(std::move(name), std::move(value)));
}

environment& environment::unset(std::string name) & {
  edit(std::move(name), std::nullopt);
  return *this;
}

environment environment::unset(std::string name) && { return std::move(unset(std::move(name))); }

std::optional<std::string> environment::get(std::string_view name) const {
  for (const auto& [edited, value] : edits_) {
    if (detail::same_variable(edited, name)) {
      return value;
    }
  }
  return inherits_ ? detail::caller_variable(name) : std::nullopt;
}

std::vector<std::string> environment::resolve() const {
  std::vector<std::string> inherited;
  if (inherits_) {
    inherited = detail::caller_environment();
  }
  const std::vector<std::string_view> views(inherited.begin(), inherited.end());
  std::vector<std::string> result;
  for (const detail::chosen_variable& each : detail::choose_variables(*this, views)) {
    result.push_back(each.edit ? detail::to_entry(*each.edit)
                               : std::move(inherited[each.inherited]));
  }
  return result;
}

void environment::edit(std::string name, std::optional<std::string> value) {
  const auto known = std::ranges::find_if(edits_, [&](const detail::environment_edit& edit) {
    return detail::same_variable(edit.first, name);
  });
  if (known != edits_.end()) {
    *known = {std::move(name), std::move(value)};
  } else {
    edits_.emplace_back(std::move(name), std::move(value));
  }
}

namespace detail {

// The inherited variables in their order, edited in place, then the new ones. Of several with one
// name only the first, the one that getenv(3) finds, is passed on: else an unset variable could
// come back in its twin. Entries without a name are no variables and stay out.
std::vector<chosen_variable> choose_variables(const environment& env,
                                              std::span<const std::string_view> inherited) {
  constexpr std::size_t seen = SIZE_MAX;
  const std::vector<environment_edit>& edits = env.edits();
  std::vector<chosen_variable> result;
  result.reserve(inherited.size() + edits.size());
  name_table names(inherited.size() + edits.size());
  for (std::size_t i = 0; i < edits.size(); ++i) {
    names.insert(edits[i].first, i);
  }
  for (std::size_t i = 0; i < inherited.size(); ++i) {
    const std::string_view name = name_of(inherited[i]);
    if (name.empty()) {
      continue;
    }
    const auto [edit, added] = names.insert(name, seen);
    if (added) {
      result.push_back({i, nullptr});
    } else if (edit != seen) {
      const environment_edit& change = edits[std::exchange(edit, seen)];
      if (change.second) {
        result.push_back({i, &change});
      }
    }
  }
  for (const environment_edit& change : edits) {
    if (change.second && names.insert(change.first, seen).first != seen) {
      result.push_back({0, &change});
    }
  }
  return result;
}

std::string to_entry(const environment_edit& edit) { return edit.first + '=' + *edit.second; }

} // namespace detail
} // namespace subproc
