#include <subproc/environment.hpp>

#include "environ.hpp"

#include <algorithm>
#include <cstddef>
#include <unordered_map>
#include <unordered_set>

namespace SUBPROC_NAMESPACE {
namespace {

constexpr std::string_view clean_list[] = {"PATH", "HOME", "USER", "LOGNAME", "SHELL",
                                           "LANG", "LC_*", "TZ",   "TMPDIR",  "TERM"};

// Empty for what is no variable. Looked for from 1: Windows keeps names such as `=C:`.
std::string_view name_of(std::string_view entry) {
  const std::size_t end = entry.find('=', 1);
  return end == std::string_view::npos ? std::string_view() : entry.substr(0, end);
}

// A `*` at the end of a pattern stands for any rest.
bool matches(std::string_view name, std::string_view pattern) {
  if (pattern.ends_with('*')) {
    return name.starts_with(pattern.substr(0, pattern.size() - 1));
  }
  return name == pattern;
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

environment environment::clean() { return clean(clean_list); }

environment environment::clean(std::span<const std::string_view> keep) {
  environment result;
  std::unordered_set<std::string> seen; // getenv(3) finds the first of several
  for (const std::string& entry : detail::caller_environment()) {
    const std::string name(name_of(entry));
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
    if (edited == name) {
      return value;
    }
  }
  return inherits_ ? detail::caller_variable(name) : std::nullopt;
}

// The inherited variables in their order, edited in place, then the new ones. Of several with one
// name only the first, the one that getenv(3) finds, is passed on: else an unset variable could
// come back in its twin. Entries without a name are no variables and stay out.
std::vector<std::string> environment::resolve() const {
  std::unordered_set<std::string_view> seen;
  std::vector<std::string> inherited;
  std::vector<std::string> result;
  if (inherits_) {
    inherited = detail::caller_environment();
    std::unordered_map<std::string_view, const std::optional<std::string>*> edited;
    for (const auto& [name, value] : edits_) {
      edited.emplace(name, &value);
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
      } else if (*change->second) {
        result.push_back(std::string(name) + '=' + **change->second);
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
  const auto known = std::ranges::find(
      edits_, name, [](const auto& edit) -> auto& { return edit.first; });
  if (known != edits_.end()) {
    known->second = std::move(value);
  } else {
    edits_.emplace_back(std::move(name), std::move(value));
  }
}

} // namespace subproc
