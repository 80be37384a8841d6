#pragma once

#include <subproc/run.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace subproc::test {

/// Runs the current case again in a process of its own, which leads a group: there it may do what
/// would harm the others, and there this is true. Fails the case here if it fails there.
inline bool in_own_process() {
  if (std::getenv("SUBPROC_PART") != nullptr) {
    return true;
  }
  std::string name = doctest::getContextOptions()->currentTest->m_name;
  std::replace(name.begin(), name.end(), ',', '?'); // a comma parts filters
  const completed_process done = run(
      command(std::filesystem::read_symlink("/proc/self/exe"), "--no-colors", "--test-case=" + name)
          .env(environment::inherit().set("SUBPROC_PART", "1"))
          .process_group(0)
          .out(piped)
          .err(merge)
          .timeout(std::chrono::seconds(50)));
  CHECK_MESSAGE(done.status.success(), done.out);
  CHECK_MESSAGE(done.out.find(" 1 passed") != std::string::npos, done.out);
  return false;
}

} // namespace subproc::test
