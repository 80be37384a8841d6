#pragma once

#include <subproc/command.hpp>

#include <string>

namespace SUBPROC_NAMESPACE::detail {

/// Throws spawn_error (invalid_argument, step arguments, path = the option) for everything about a
/// command that is known to be wrong before anything is started.
void check(const command& cmd);

/// The same for one user or group: an id that setreuid(2) takes for "leave it" keeps privileges.
void check_account(const char* option, const account& who);

/// The part of check() that each platform defines: refuses what only others have.
void check_platform_options(const command& cmd);

/// What is wrong with the steps of a stop; empty when nothing is.
std::string fault_of(const std::vector<stop_step>& steps);

/// What the checks throw.
[[noreturn]] void refuse(const char* option, const std::string& detail);

} // namespace subproc::detail
