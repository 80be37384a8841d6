#pragma once

#include <regex>
#include <string>

namespace subproc::test {

/// A message without what Boost's system_error adds to its own: " [system:2]".
inline std::string plain_text(const std::string& message) {
  return std::regex_replace(message, std::regex(R"( \[[a-z.]+:[0-9]+\])"), "");
}

} // namespace subproc::test
