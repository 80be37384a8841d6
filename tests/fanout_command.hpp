#pragma once

#include "support.hpp"

#include <subproc/command.hpp>

namespace subproc::test {

/// The program with these arguments, an empty stdin and captured outputs.
template <class... Args>
command fanout(const Args&... args) {
  return command(fanout_program(), args...).capture_output().in(null);
}

} // namespace subproc::test
