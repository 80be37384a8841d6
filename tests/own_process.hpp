#pragma once

// Cases that do what would harm the others (lose system calls, signals, rights) run themselves
// again in a process of their own.

#include <subproc/run.hpp>

#include "support.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>

namespace subproc::test {

/// The exit code of a part that cannot be run on this machine.
inline constexpr int left_out = 77;

/// What this process is to do of the current case; empty in the one that runs all cases.
inline std::string own_part() {
  const char* const part = std::getenv("SUBPROC_PART");
  return part ? part : "";
}

/// The current case again, for a process of its own in which own_part() is `part`; `through` is a
/// program that runs the one it is given.
inline command this_case(const std::string& part, const std::string& through = {}) {
  std::string name = doctest::getContextOptions()->currentTest->m_name;
  std::replace(name.begin(), name.end(), ',', '?'); // a comma parts filters
  command cmd = through.empty() ? command() : command(through);
  return cmd.arg(own_program())
      .arg("--no-colors")
      .arg("--test-case=" + name)
      .env(environment::inherit().set("SUBPROC_PART", part))
      .out(piped)
      .err(merge)
      .timeout(std::chrono::seconds(50));
}

/// Fails the case here if it failed there. False, with a message, when it was left out.
inline bool check_part(const completed_process& done) {
  const std::string part = done.cmd.env()->get("SUBPROC_PART").value_or("");
  if (done.status.exit_code() == left_out) {
    MESSAGE("left out, not allowed here: ", part);
    return false;
  }
  CHECK_MESSAGE(done.status.success(), part, ": ", done.status, '\n', done.out);
  CHECK_MESSAGE(done.out.find(" 1 passed") != std::string::npos, part, ":\n", done.out);
  return true;
}

inline bool run_part(const std::string& part) { return check_part(run(this_case(part))); }

/// True in the process of its own, which leads a group; elsewhere it starts that one and checks it.
inline bool in_own_process() {
  if (!own_part().empty()) {
    return true;
  }
  check_part(run(this_case("1").process_group(0)));
  return false;
}

/// The same for cases that leave no descriptor free: UBSan needs one to look at a type.
inline bool in_own_process_without_sanitizer() {
  if (sanitized) {
    MESSAGE("left out: the sanitizer needs descriptors of its own");
    return false;
  }
  return in_own_process();
}

} // namespace subproc::test
