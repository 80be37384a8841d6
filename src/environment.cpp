#include <subproc/environment.hpp>

#include "environ.hpp"

#include <algorithm>
#include <cstddef>
#include <unordered_map>
#include <unordered_set>

namespace SUBPROC_NAMESPACE {
namespace {

struct same_name {
  bool operator()(std::string_view left, std::string_view right) const {
    return detail::same_variable(left, right);
  }
};

struct name_hash {
  std::size_t operator()(std::string_view name) const { return detail::variable_hash(name); }
};

using name_set = std::unordered_set<std::string_view, name_hash, same_name>;

using edit_type = std::pair<std::string, std::optional<std::string>>;

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
  name_set seen; // getenv(3) finds the first of several
  for (const std::string& entry : inherited) {
    const std::string_view name = name_of(entry);
    const auto wanted = [&](std::string_view pattern) { return matches(name, pattern); };
    if (!name.empty() && std::ranges::any_of(keep, wanted) && seen.insert(name).second) {
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

// The inherited variables in their order, edited in place, then the new ones. Of several with one
// name only the first, the one that getenv(3) finds, is passed on: else an unset variable could
// come back in its twin. Entries without a name are no variables and stay out.
std::vector<std::string> environment::resolve() const {
  name_set seen;
  std::vector<std::string> inherited;
  std::vector<std::string> result;
  if (inherits_) {
    inherited = detail::caller_environment();
    std::unordered_map<std::string_view, const edit_type*, name_hash, same_name> edited;
    for (const edit_type& change : edits_) {
      edited.emplace(change.first, &change);
    }
    seen.reserve(inherited.size());
    result.reserve(inherited.size() + edits_.size());
    for (const std::string& entry : inherited) {
      const std::string_view name = name_of(entry);
      if (name.empty() || !seen.insert(name).second) {
        continue;
      }
      const auto change = edited.find(name);
      if (change == edited.end()) {
        result.push_back(entry);
      } else if (const auto& [spelled, value] = *change->second; value) {
        result.push_back(spelled + '=' + *value);
      }
    }
  }
  for (const auto& [name, value] : edits_) {
    if (value && !seen.contains(name)) {
      result.push_back(name + '=' + *value);
    }
  }
  return result;
}

void environment::edit(std::string name, std::optional<std::string> value) {
  const auto known = std::ranges::find_if(
      edits_, [&](const edit_type& edit) { return detail::same_variable(edit.first, name); });
  if (known != edits_.end()) {
    *known = {std::move(name), std::move(value)};
  } else {
    edits_.emplace_back(std::move(name), std::move(value));
  }
}

} // namespace subproc
