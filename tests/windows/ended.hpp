#pragma once

#include "support.hpp"

#include <subproc/process.hpp>

namespace subproc::test {

/// Blocks until the child has ended, which it must be about to do; leaves it to its object.
inline bool has_ended(int pid) {
  return eventually([&] { return !is_running(pid); });
}
inline bool has_ended(const process& child) { return has_ended(child.pid()); }

} // namespace subproc::test
