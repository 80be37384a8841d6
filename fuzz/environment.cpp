// environment against a map: a caller's strings of any kind, any edits.

#include "fuzz.hpp"

#include <environ.hpp>
#include <subproc/environment.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace {

std::vector<std::string> caller;

} // namespace

// The platform's part, with a caller that the fuzzer makes up.
namespace subproc::detail {

std::vector<std::string> caller_environment() { return caller; }

std::optional<std::string> caller_variable(std::string_view name) {
  for (const std::string& entry : caller) {
    if (entry.starts_with(name) && entry.substr(name.size()).starts_with('=')) {
      return entry.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

} // namespace subproc::detail

namespace {

using namespace subproc;
using fuzz::choices;

// A name that a child can be given, from few, so that edits meet.
std::string any_name(choices& given) {
  std::string name = given.bytes(1 + given.below(2));
  std::replace(name.begin(), name.end(), '=', 'A');
  return name.empty() ? "A" : name;
}

std::optional<std::pair<std::string, std::string>> variable(const std::string& entry) {
  const std::size_t end = entry.find('=', 1);
  if (entry.empty() || end == std::string::npos) {
    return std::nullopt;
  }
  return std::pair(entry.substr(0, end), entry.substr(end + 1));
}

void check(const environment& env, const std::map<std::string, std::string>& model) {
  std::map<std::string, std::string> resolved;
  for (const std::string& entry : env.resolve()) {
    const auto found = variable(entry);
    HOLDS(found.has_value());
    HOLDS(resolved.insert(*found).second); // no name twice
    HOLDS(env.get(found->first) == found->second);
  }
  HOLDS(resolved == model);
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  choices given(data, size);
  caller.clear();
  for (std::size_t n = given.below(6); n > 0; --n) {
    caller.push_back(given.bytes(given.below(6)));
  }
  std::map<std::string, std::string> callers;
  for (const std::string& entry : caller) {
    if (const auto found = variable(entry)) {
      callers.insert(*found); // the first of several
    }
  }
  environment env;
  std::map<std::string, std::string> model;
  switch (given.below(3)) {
  case 0:
    break;
  case 1:
    env = environment::inherit();
    model = callers;
    break;
  default: {
    const std::string kept = any_name(given);
    const std::string start = any_name(given);
    const std::string pattern = start + '*';
    const std::string_view keep[] = {kept, pattern};
    env = environment::clean(keep);
    for (const auto& [name, value] : callers) {
      const bool by_name = !kept.ends_with('*') && name == kept;
      const bool by_start =
          name.starts_with(start) ||
          (kept.ends_with('*') && name.starts_with(kept.substr(0, kept.size() - 1)));
      if (by_name || by_start) {
        model.emplace(name, value);
      }
    }
  }
  }
  check(env, model);
  while (!given.empty()) {
    const std::string name = any_name(given);
    if (given.flip()) {
      const std::string value = given.bytes(given.below(4));
      env.set(name, value);
      model[name] = value;
      HOLDS(env.get(name) == value);
    } else {
      env.unset(name);
      model.erase(name);
      HOLDS(!env.get(name));
    }
  }
  check(env, model);
  return 0;
}
