#pragma once

#include "support.hpp"

#include <subproc/process.hpp>

namespace subproc::test {

/// Blocks until the child has ended, which it must be about to do; leaves it to its object.
inline bool has_ended(const process& child) {
  return eventually([&] { return !is_running(child.pid()); });
}

} // namespace subproc::test
