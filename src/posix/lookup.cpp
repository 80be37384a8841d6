#include "lookup.hpp"

#include "../environ.hpp"

#include <cstddef>

namespace SUBPROC_NAMESPACE::detail {

std::vector<std::string> executable_candidates(std::string_view program,
                                               const std::optional<environment>& env) {
  if (program.find('/') != std::string_view::npos) {
    return {std::string(program)};
  }
  const std::optional<std::string> found = env ? env->get("PATH") : caller_variable("PATH");
  const std::string_view path = found ? std::string_view(*found) : "/bin:/usr/bin";

  std::vector<std::string> candidates;
  for (std::size_t begin = 0, end = 0; end != std::string_view::npos; begin = end + 1) {
    end = path.find(':', begin);
    // An empty entry, and so an empty PATH, is the working directory.
    std::string candidate(path.substr(begin, end == std::string_view::npos ? end : end - begin));
    if (candidate.empty()) {
      candidate = '.';
    }
    if (candidate.back() != '/') {
      candidate += '/';
    }
    candidates.push_back(candidate.append(program));
  }
  return candidates;
}

} // namespace subproc::detail
