#pragma once

// What the library has on one platform and not on another. A case that is about such a thing alone
// is in the folder of its platform; one that shows something on any platform by its help is excused
// where it is missing, and says so: ctest counts it as skipped.

#include <doctest/doctest.h>

namespace subproc::test {

enum class feature {
  pidfd,       ///< native_handle, and a status that somebody else has taken
  pipe_size,   ///< command::pipe_size
  cpus,        ///< limits::cpus and limits::oom_score_adj
  memory_seal, ///< memory_file cannot be written, not even by root
};

/// Defined in the platform's folder.
bool platform_has(feature what) noexcept;

/// Put first in a case: true, with a message, where it cannot be run.
inline bool excused_without(feature what, const char* why) {
  if (platform_has(what)) {
    return false;
  }
  MESSAGE("excused here: ", why);
  return true;
}

} // namespace subproc::test
