#pragma once

#include <subproc/command.hpp>
#include <subproc/detail/asio.hpp>
#include <subproc/detail/export.hpp>
#include <subproc/exit_status.hpp>
#include <subproc/stop.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace SUBPROC_NAMESPACE {

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
  create_process, ///< Windows: CreateProcessW
};

SUBPROC_API const char* to_string(launcher_kind kind) noexcept;

/// One of a child's outputs.
enum class output_stream : unsigned char { out, err };

/// Bytes that were seen one after the other: `size` bytes from `offset` on in the result's out or
/// err.
struct output_piece {
  output_stream stream;
  std::uint64_t offset;
  std::size_t size;
  /// From the spawn to the first of them; the others were seen at most 10 ms later.
  std::chrono::nanoseconds time;

  friend bool operator==(const output_piece&, const output_piece&) = default;
};

namespace detail {
SUBPROC_API std::string ordered_text(std::string_view out, std::string_view err,
                                     const std::vector<output_piece>& pieces);
SUBPROC_API std::string ordered_lines(std::string_view out, std::string_view err,
                                      const std::vector<output_piece>& pieces,
                                      std::string_view out_tag, std::string_view err_tag);
} // namespace detail

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
  /// Why not all was passed on to the sink of a tee; equal to a std::errc. broken_pipe: nobody
  /// reads it. timed_out: a run's child had ended in time, the sink had not taken all.
  /// operation_canceled: the run was stopped.
  error_code out_tee_error;
  error_code err_tee_error;
  /// With ordered_output(): both streams in the order in which they were seen.
  std::vector<output_piece> pieces;

  bool truncated() const noexcept { return out_dropped + err_dropped != 0; }

  /// Both streams in one text, in the order of `pieces`; what none of them covers comes last.
  std::string ordered_text() const { return detail::ordered_text(out, err, pieces); }
  /// The same line by line, each line whole, behind its stream's tag, where its end was seen.
  std::string ordered_text(std::string_view out_tag, std::string_view err_tag) const {
    return detail::ordered_lines(out, err, pieces, out_tag, err_tag);
  }
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
  /// The time-out was the inactivity_timeout().
  bool inactive = false;
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
  /// Why not all was passed on to the sink of a tee; equal to a std::errc. broken_pipe: nobody
  /// reads it. timed_out: a run's child had ended in time, the sink had not taken all.
  /// operation_canceled: the run was stopped.
  error_code out_tee_error;
  error_code err_tee_error;
  /// With ordered_output(): both streams in the order in which they were seen.
  std::vector<output_piece> pieces;

  const std::vector<std::string>& args() const noexcept { return cmd.args(); }
  std::optional<long long> returncode() const noexcept { return status.returncode(); }
  bool status_unknown() const noexcept { return status.unknown(); }
  bool truncated() const noexcept { return out_dropped + err_dropped != 0; }

  /// Both streams in one text, in the order of `pieces`; what none of them covers comes last.
  std::string ordered_text() const { return detail::ordered_text(out, err, pieces); }
  /// The same line by line, each line whole, behind its stream's tag, where its end was seen.
  std::string ordered_text(std::string_view out_tag, std::string_view err_tag) const {
    return detail::ordered_lines(out, err, pieces, out_tag, err_tag);
  }

  /// Throws called_process_error unless the command accepts the status.
  void check_returncode() const;
};

/// "completed_process(args=ls -l, returncode=0, out='...')"; a stream that was not captured is left
/// out, a long one cut.
SUBPROC_API std::string to_string(const completed_process& result);
SUBPROC_API std::ostream& operator<<(std::ostream& os, const completed_process& result);

} // namespace subproc
