#include <subproc/exit_status.hpp>

#include "exit_code.hpp"

#include <ostream>

namespace SUBPROC_NAMESPACE {

std::string to_string(const exit_status& status) {
  if (const auto code = status.exit_code()) {
    return "exited with " + detail::shown_code(*code);
  }
  if (const auto number = status.signal()) {
    const std::string name = signal_name(*number);
    std::string text = name.empty() ? "died with unknown signal " + std::to_string(*number)
                                    : "died with " + name + " (" + std::to_string(*number) + ")";
    if (status.core_dumped()) {
      text += ", core dumped";
    }
    return text;
  }
  return "status unknown";
}

std::ostream& operator<<(std::ostream& os, const exit_status& status) {
  return os << to_string(status);
}

} // namespace subproc
