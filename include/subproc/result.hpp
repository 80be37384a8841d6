#pragma once

#include <subproc/command.hpp>
#include <subproc/detail/export.hpp>
#include <subproc/exit_status.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace subproc {

/// What the child (and the children it waited for) used; from the kernel at its exit.
struct resource_usage {
  std::chrono::microseconds user_time{};
  std::chrono::microseconds system_time{};
  std::uint64_t max_resident_bytes = 0;
  std::uint64_t minor_faults = 0;
  std::uint64_t major_faults = 0;
  std::uint64_t blocks_read = 0;
  std::uint64_t blocks_written = 0;
  std::uint64_t voluntary_switches = 0;
  std::uint64_t involuntary_switches = 0;

  friend bool operator==(const resource_usage&, const resource_usage&) = default;
};

/// Which way the child was started.
enum class launcher_kind {
  none,   ///< not started
  clone3, ///< Linux: clone3 sharing memory and descriptor table until exec, pidfd from birth
  vfork,  ///< vfork, with pidfd_open where there is one
  fork,   ///< a copy of the caller, for credentials and pre_exec
  custom, ///< a launcher given by the user
};

SUBPROC_API const char* to_string(launcher_kind kind) noexcept;

/// What communicate gives. `out` and `err` are empty when not captured; the flags tell.
struct communicate_result {
  std::string out;
  std::string err;
  exit_status status;
  bool out_captured = false;
  bool err_captured = false;
  /// Somebody else still held a pipe when drain_timeout ended the capture.
  bool pipes_held = false;
  /// Bytes that the limit dropped, by stream.
  std::uint64_t out_dropped = 0;
  std::uint64_t err_dropped = 0;
  /// After an error: bytes that the process object holds for the next communicate.
  std::size_t out_held = 0;
  std::size_t err_held = 0;

  bool truncated() const noexcept { return out_dropped + err_dropped != 0; }
};

/// What a stop did.
struct stop_result {
  exit_status status;
  /// SIGKILL was needed.
  bool forced = false;
  /// Members of the scope that were alive when the stop gave up; empty after a success.
  std::vector<int> survivors;
};

/// All that is known about a command that was run.
struct SUBPROC_API completed_process {
  command cmd;
  exit_status status;
  std::string out;
  std::string err;
  bool out_captured = false;
  bool err_captured = false;
  std::uint64_t out_dropped = 0;
  std::uint64_t err_dropped = 0;
  bool timed_out = false;
  bool cancelled = false;
  bool pipes_held = false;
  bool forced = false;
  int pid = -1;
  launcher_kind launched_by = launcher_kind::none;
  std::chrono::system_clock::time_point start_time{};
  std::chrono::system_clock::time_point end_time{};
  /// From spawn to exit, by the monotonic clock.
  std::chrono::nanoseconds elapsed{};
  resource_usage usage;

  const std::vector<std::string>& args() const noexcept { return cmd.args(); }
  std::optional<long long> returncode() const noexcept { return status.returncode(); }
  bool status_unknown() const noexcept { return status.unknown(); }
  bool truncated() const noexcept { return out_dropped + err_dropped != 0; }

  /// Throws called_process_error unless the command accepts the status.
  void check_returncode() const;
};

/// "completed_process(args=ls -l, returncode=0, out='...')"; a stream that was not captured is left
/// out, a long one cut.
SUBPROC_API std::string to_string(const completed_process& result);
SUBPROC_API std::ostream& operator<<(std::ostream& os, const completed_process& result);

} // namespace subproc
