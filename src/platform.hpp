#pragma once

// The seam: what every platform defines. Shared code includes this and no system header. The loop
// side is a readiness model everywhere (wait, then a call that does not block); a platform whose
// kernel completes instead of announcing keeps its buffers behind these calls.

#include <subproc/detail/asio.hpp>
#include <subproc/detail/native_handle.hpp>
#include <subproc/duration.hpp>

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

namespace SUBPROC_NAMESPACE::detail {

/// Reads what is there. asio::error::would_block when nothing is, asio::error::eof at the end.
std::size_t read_some(native_handle_type handle, void* data, std::size_t size,
                      error_code& ec) noexcept;

/// Writes what fits, without ever raising SIGPIPE: asio::error::broken_pipe when nobody reads.
std::size_t write_some(native_handle_type handle, const void* data, std::size_t size,
                       error_code& ec) noexcept;

/// One write to the caller's stderr. What it does not take at once is lost.
void write_to_stderr(std::string_view text) noexcept;

/// Gives a pipe the largest capacity an unprivileged user may have; failing is no error.
void grow_pipe(native_handle_type handle) noexcept;

/// Whether large memory that is never touched takes nothing from anybody.
bool reserving_is_free() noexcept;

/// A handle for wait_ready; `ready` is its answer.
struct wait_entry {
  native_handle_type handle = invalid_handle; ///< invalid_handle: left out
  bool for_write = false;
  bool ready = false;
};

/// Blocks until an entry is ready or the time has come (time_point::max(): for ever). Returns
/// whether any is ready.
bool wait_ready(std::span<wait_entry> entries, steady_clock::time_point until);

/// The number of this process; another one after a fork.
long process_number() noexcept;

/// A thread for the library's own work: detached, and no signal of the program is handled on it.
void start_background_thread(std::function<void()> body);

/// Room for one read, which is the calling thread's until it ends; throws std::bad_alloc. One a
/// thread, not one a pipe: ten thousand live children must not cost ten thousand buffers.
std::span<char> scratch(std::size_t size);

/// The signal mask of a thread that asks for a start made by another thread.
class caller_signals {
public:
  caller_signals() noexcept;
  /// Runs `body` with that mask.
  void run(const std::function<void()>& body) const;

private:
  unsigned char mask_[128]; // what the platform makes of it
};

/// The signals of a polite and of a certain stop, and an interrupt.
extern const int stop_signal;
extern const int kill_signal;
extern const int interrupt_signal;
/// The signal of a write that nobody reads; 0 where there is none.
extern const int broken_pipe_signal;

/// Whether there is such a signal.
bool is_signal(int number) noexcept;

/// The signal that lets a halted process see this one; 0 where none is needed (it ends the process
/// anyway) or wanted (it halts it).
int signal_to_go_on(int number) noexcept;

} // namespace subproc::detail

// Found in the platform's folder: class readiness, which waits for one handle on a loop, and
// output_sink, where a tee passes output on to.
#include "output_sink.hpp"
#include "readiness.hpp"
