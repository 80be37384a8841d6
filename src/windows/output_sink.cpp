#include "output_sink.hpp"

#include "platform.hpp"

#include "../redirects.hpp"
#include "files.hpp"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

// After windows.h.
#include <winternl.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::size_t most_taken = 64 * 1024;

bool is_disk(HANDLE handle) noexcept { return ::GetFileType(handle) == FILE_TYPE_DISK; }

error_code failure_of(unsigned long error) noexcept {
  return error == ERROR_NO_DATA ? detail::generic_error(std::errc::broken_pipe)
                                : system_error_of(error);
}

} // namespace

/// Writes to a handle that may block, one piece at a time, on a thread of its own.
class sink_writer : public std::enable_shared_from_this<sink_writer> {
public:
  sink_writer(unique_handle handle, owned_handle ready)
      : handle_(std::move(handle)), ready_(std::move(ready)), direct_(is_disk(handle_.get())) {}

  HANDLE ready() const noexcept { return ready_.get(); }

  std::size_t write_some(const void* data, std::size_t size, error_code& ec) {
    if (direct_) {
      return write(data, size, ec);
    }
    const std::lock_guard lock(mutex_);
    if (state_ == state::writing) {
      ec = asio::error::would_block;
      return 0;
    }
    if (state_ == state::written) {
      state_ = state::idle;
      ec = outcome_;
      return written_;
    }
    size = std::min(size, most_taken);
    piece_.assign(static_cast<const char*>(data), size);
    ::ResetEvent(ready_.get());
    state_ = state::writing;
    start();
    ec = asio::error::would_block;
    return 0;
  }

  /// Whoever drops a sink does not wait for it.
  void end() noexcept {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    if (state_ == state::writing && thread_) {
      ::CancelSynchronousIo(thread_.get());
    }
    if (wake_) {
      ::SetEvent(wake_.get());
    }
  }

private:
  enum class state : unsigned char { idle, writing, written };

  // With the mutex held.
  void start() {
    if (wake_) {
      ::SetEvent(wake_.get());
      return;
    }
    wake_.reset(::CreateEventW(nullptr, FALSE, TRUE, nullptr));
    try {
      if (!wake_) {
        throw system_error(last_error(), "CreateEvent");
      }
      start_background_thread([self = shared_from_this()] { self->run(); });
    } catch (const system_error& error) {
      wake_.reset();
      finish(0, error.code());
    }
  }

  void run() {
    {
      const std::lock_guard lock(mutex_);
      HANDLE mine = nullptr;
      ::DuplicateHandle(::GetCurrentProcess(), ::GetCurrentThread(), ::GetCurrentProcess(), &mine,
                        0, FALSE, DUPLICATE_SAME_ACCESS);
      thread_.reset(mine);
    }
    for (;;) {
      ::WaitForSingleObject(wake_.get(), INFINITE);
      std::unique_lock lock(mutex_);
      if (ended_) {
        return;
      }
      lock.unlock();
      error_code ec;
      const std::size_t n = write(piece_.data(), piece_.size(), ec);
      lock.lock();
      finish(n, ec);
    }
  }

  // With the mutex held.
  void finish(std::size_t written, error_code ec) noexcept {
    written_ = written;
    outcome_ = ec;
    state_ = state::written;
    ::SetEvent(ready_.get());
  }

  // A handle that is overlapped needs an operation; of a file it would give the place as well.
  std::size_t write(const void* data, std::size_t size, error_code& ec) noexcept {
    DWORD written = 0;
    const DWORD wanted = static_cast<DWORD>(std::min<std::size_t>(size, 1U << 30));
    OVERLAPPED operation{};
    owned_handle event;
    if (!direct_) {
      event.reset(::CreateEventW(nullptr, TRUE, FALSE, nullptr));
      operation.hEvent = event.get();
    }
    bool done =
        ::WriteFile(handle_.get(), data, wanted, &written, direct_ ? nullptr : &operation) != 0;
    if (!done && ::GetLastError() == ERROR_IO_PENDING) {
      done = ::GetOverlappedResult(handle_.get(), &operation, &written, TRUE) != 0;
    }
    ec = done ? error_code() : failure_of(::GetLastError());
    return done ? written : 0;
  }

  unique_handle handle_;
  owned_handle ready_;
  const bool direct_;
  std::mutex mutex_;
  owned_handle wake_; ///< the thread is there
  owned_handle thread_;
  std::string piece_;
  state state_ = state::idle;
  std::size_t written_ = 0;
  error_code outcome_;
  bool ended_ = false;
};

namespace {

// What a handle may be used for is known to the system alone.
bool can_be_written(HANDLE handle) noexcept {
  PUBLIC_OBJECT_BASIC_INFORMATION is{};
  const bool known = ::NtQueryObject(handle, ObjectBasicInformation, &is, sizeof is, nullptr) >= 0;
  return !known || (is.GrantedAccess & (FILE_WRITE_DATA | FILE_APPEND_DATA)) != 0;
}

output_sink open_sink(const tee& what, int number, const char* option) {
  if (const auto* path = std::get_if<file>(&what.sink)) {
    return output_sink(unique_handle(open_file(*path, false, false).release()));
  }
  const auto* const given = std::get_if<fd>(&what.sink);
  owned_handle handle = duplicate_of(given ? given->value : own_stream(number), option, false);
  if (!can_be_written(handle.get())) {
    throw spawn_error(detail::generic_error(std::errc::bad_file_descriptor), spawn_step::arguments,
                      option, "the handle cannot be written");
  }
  return output_sink(unique_handle(handle.release()));
}

template <class Redirect>
output_sink open_sink(const std::optional<Redirect>& redirect, int number, const char* option) {
  return tees(redirect) ? open_sink(std::get<tee>(*redirect), number, option) : output_sink();
}

} // namespace

output_sink::output_sink(unique_handle handle) {
  owned_handle ready(::CreateEventW(nullptr, TRUE, TRUE, nullptr));
  if (!ready) {
    throw spawn_error(last_error(), spawn_step::open, {}, "the sink of a tee cannot be watched");
  }
  auto writer = std::make_shared<sink_writer>(std::move(handle), std::move(ready));
  writer_ = std::shared_ptr<sink_writer>(writer.get(), [writer](sink_writer* self) mutable {
    self->end();
    writer.reset();
  });
}

native_handle_type output_sink::handle() const noexcept { return writer_->ready(); }

std::size_t output_sink::write_some(const void* data, std::size_t size,
                                    error_code& ec) const noexcept {
  return writer_->write_some(data, size, ec);
}

output_sinks::output_sinks(const command& cmd) {
  out = open_sink(cmd.out(), 1, "out");
  err = open_sink(cmd.err(), 2, "err");
}

} // namespace subproc::detail
