#pragma once

// What the library has on one platform and not on another. A case that is about such a thing alone
// is in the folder of its platform; one that shows something on any platform by its help is excused
// where it is missing, and says so: ctest counts it as skipped.

#include <doctest/doctest.h>

#include <string>

namespace subproc::test {

enum class feature {
  native_handle, ///< of the process: a pidfd, a handle
  pidfd,         ///< the same, and a status that somebody else has taken
  pipe_size,     ///< command::pipe_size
  cpus,          ///< limits::cpus and limits::oom_score_adj
  memory_seal,   ///< memory_file cannot be written, not even by root
  posix_options, ///< descriptors and bytes to pass, users, sessions, limits, a hook
  posix_shell,   ///< shell() is /bin/sh
  posix_errors,  ///< the system's numbers of errors are those of errno, with their words
  signals,       ///< 1 to 64, which a child can be ended by
};

/// Defined in the platform's folder.
bool platform_has(feature what) noexcept;

/// Put first in a case: true, with a message, where it cannot be run.
inline bool excused_without(feature what, const char* why) {
  if (platform_has(what)) {
    return false;
  }
  MESSAGE("excused here: ", std::string(why)); // doctest shows a char pointer as a number
  return true;
}

} // namespace subproc::test
