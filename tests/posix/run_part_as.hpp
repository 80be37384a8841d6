#pragma once

#include "own_process.hpp"

#include <subproc/run.hpp>

#include <doctest/doctest.h>

#include <string>
#include <system_error>

#include <unistd.h>

namespace subproc::test {

/// run_part() as a user without rights, unless the caller has none anyway. Left out, with a
/// message, where others cannot read this program.
inline void run_part_as(int user, const std::string& part) {
  command cmd = this_case(part);
  if (::geteuid() == 0) {
    cmd.user(user).group(user).extra_groups({});
  }
  try {
    check_part(run(cmd));
  } catch (const spawn_error& error) {
    REQUIRE(error.code() == std::errc::permission_denied);
    MESSAGE("left out: this program cannot be read by others");
  }
}

} // namespace subproc::test
