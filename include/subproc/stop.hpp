#pragma once

#include <subproc/duration.hpp>
#include <subproc/exit_status.hpp>

#include <vector>

namespace SUBPROC_NAMESPACE {

/// One step of a stop: a signal to the scope, and how long the scope has to become empty before the
/// next step. Signal 0 only waits. A halted process goes on (SIGCONT), so that it sees the signal,
/// unless that is SIGKILL or one that halts.
struct stop_step {
  int signal;
  duration grace;

  friend bool operator==(const stop_step&, const stop_step&) = default;
};

/// What a stop did.
struct stop_result {
  exit_status status;
  /// SIGKILL was needed after another step.
  bool forced = false;
  /// The signals of the steps that were carried out, in order; 0 for one that only waited.
  std::vector<int> signals;
  /// Members of the scope that were alive when the stop gave up; empty after a success.
  std::vector<int> survivors;
};

} // namespace subproc
