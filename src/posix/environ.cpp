#include "../environ.hpp"

// POSIX leaves the declaration to the program.
extern "C" char** environ;

namespace SUBPROC_NAMESPACE::detail {

std::vector<std::string> caller_environment() {
  std::vector<std::string> entries;
  // Null after clearenv(3).
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    entries.emplace_back(*entry);
  }
  return entries;
}

std::optional<std::string> caller_variable(std::string_view name) {
  if (name.empty() || name.find('=') != std::string_view::npos) {
    return std::nullopt;
  }
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view variable(*entry);
    if (variable.size() > name.size() && variable[name.size()] == '=' &&
        variable.substr(0, name.size()) == name) {
      return std::string(variable.substr(name.size() + 1));
    }
  }
  return std::nullopt;
}

} // namespace subproc::detail
