#pragma once

#include <subproc/environment.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

/// The paths to try in turn, in the child's working directory: the program itself when it has a
/// slash, else one for each entry of PATH, in order. That PATH is the child's, so `env` decides
/// when given.
std::vector<std::string> executable_candidates(std::string_view program,
                                               const std::optional<environment>& env);

} // namespace subproc::detail
