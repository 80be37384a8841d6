#pragma once

#include "options.hpp"

namespace fanout {

/// Runs the jobs of one call, from the items to the exit code. Throws what is to end the program;
/// by then it has threads, which may sit in a read or a write: leave() ends them.
int run_session(options chosen);

} // namespace fanout
