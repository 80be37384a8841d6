#pragma once

#include "system.hpp"

#include <subproc/launcher.hpp>

#include <cstddef>
#include <memory>
#include <mutex>

namespace SUBPROC_NAMESPACE::detail {

/// The caller's end of a pipe to a child: an overlapped handle and what is under way on it. It
/// announces, as a pipe on POSIX does, what Windows only completes:
///
/// - A read of no bytes completes once there is something to read, or the end; it moves nothing, so
///   that nothing is lost with it.
/// - A write takes the bytes into a buffer of its own; until the kernel has them no more are taken.
///
/// Its event belongs to no loop: blocking waits and loops use the same. Thread safety: all members.
class overlapped_pipe : public std::enable_shared_from_this<overlapped_pipe> {
public:
  enum class direction : unsigned char { read, write };

  /// Throws system_error.
  overlapped_pipe(owned_handle handle, direction way);
  overlapped_pipe(const overlapped_pipe&) = delete;
  overlapped_pipe& operator=(const overlapped_pipe&) = delete;

  /// As those of platform.hpp.
  std::size_t read_some(void* data, std::size_t size, error_code& ec) noexcept;
  std::size_t write_some(const void* data, std::size_t size, error_code& ec) noexcept;

  /// Signalled once read_some or write_some would do something, if watch() came after the last of
  /// them.
  HANDLE event() const noexcept { return event_.get(); }
  void watch() noexcept;

  /// Closes the handle. Bytes that were taken still reach the child, in the background.
  static void close(std::shared_ptr<overlapped_pipe> end) noexcept;

private:
  bool settle() noexcept;
  void abandon() noexcept;
  static HANDLE port();
  static void written(OVERLAPPED* operation, unsigned long error) noexcept;

  struct write_operation {
    OVERLAPPED overlapped;
    overlapped_pipe* of;
  };

  std::mutex mutex_;
  owned_handle handle_;
  owned_handle event_;
  owned_handle moved_; ///< of a read of bytes, which is over at once
  write_operation operation_{};
  direction way_;
  bool under_way_ = false;
  bool closed_ = false;
  unsigned long failure_ = 0;                   ///< of the last write
  std::shared_ptr<overlapped_pipe> kept_alive_; ///< by a write that is under way
  std::unique_ptr<char[]> buffer_;
};

/// A new pipe. The child's end is inheritable, and does not block for the child alone.
struct new_pipe {
  unique_handle ours;
  owned_handle childs;
};

/// `way`: of our end. Throws spawn_error.
new_pipe make_pipe(overlapped_pipe::direction way, unsigned long size);

/// A pipe whose other end is this program's too, and no child's: both announce.
struct own_pipe {
  unique_handle ours;
  unique_handle other;
};

/// `way`: of `ours`. Throws spawn_error.
own_pipe make_own_pipe(overlapped_pipe::direction way, unsigned long size);

/// The state of our end of a pipe; null for any other handle.
std::shared_ptr<overlapped_pipe> find_pipe(native_handle_type handle) noexcept;
/// The same, and the handle is forgotten.
std::shared_ptr<overlapped_pipe> take_pipe(native_handle_type handle) noexcept;

} // namespace subproc::detail
