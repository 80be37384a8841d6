#pragma once

#include <subproc/command.hpp>
#include <subproc/detail/asio.hpp>
#include <subproc/exit_status.hpp>
#include <subproc/launcher.hpp>

#include <cstddef>
#include <memory>
#include <string_view>

namespace SUBPROC_NAMESPACE::detail {

/// A part of the seam: the streams of a child that is a thread, and how that thread is woken. All
/// but wake() and end() are for the thread alone.
class fake_streams {
public:
  virtual ~fake_streams() = default;

  /// Lets what the thread waits for return; one that comes before the wait counts too.
  virtual void wake() noexcept = 0;
  /// The same, for good: a call of the thread that blocks returns too.
  virtual void end() noexcept = 0;

  /// Until it is woken or the time has come.
  virtual void wait(steady_clock::time_point until) noexcept = 0;

  /// Waits for something to read. asio::error::would_block when it was woken, asio::error::eof at
  /// the end and where there is no stream.
  virtual std::size_t read(char* data, std::size_t size, error_code& ec) noexcept = 0;

  /// Waits for room; where there is no stream all goes nowhere. asio::error::would_block when it
  /// was woken, asio::error::broken_pipe when nobody reads. Of no bytes: waits until all before
  /// has been taken, as far as a program would.
  virtual std::size_t write(bool to_err, std::string_view bytes, error_code& ec) noexcept = 0;

  virtual void close() noexcept = 0;
};

/// Throws spawn_error.
std::unique_ptr<fake_streams> open_fake_streams(const command& cmd, launched_child& callers);

/// What tells of the end of a child that is no process: `told` is readable (signalled) from then
/// on.
struct fake_exit {
  unique_handle told;
  unique_handle teller;
};

/// Throws spawn_error.
fake_exit make_fake_exit();
void tell_exit(unique_handle teller) noexcept;

/// Whether a signal ends a program that does nothing about it, and how such a one has ended.
bool ends_a_program(int signal) noexcept;
exit_status ended_by(int signal) noexcept;
/// The same of one that wrote to a pipe that nobody reads.
exit_status ended_by_broken_pipe() noexcept;

} // namespace subproc::detail
