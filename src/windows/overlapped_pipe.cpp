#include "overlapped_pipe.hpp"

#include "platform.hpp"
#include "random_name.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::size_t most_written = 64 * 1024;

struct pipe_table {
  std::mutex mutex;
  std::unordered_map<native_handle_type, std::shared_ptr<overlapped_pipe>> ends;
};

pipe_table& table() {
  static pipe_table* const instance = new pipe_table; // used by threads that outlive statics
  return *instance;
}

owned_handle make_event(bool signalled) {
  owned_handle event(::CreateEventW(nullptr, TRUE, signalled, nullptr));
  if (!event) {
    throw system_error(last_error(), "CreateEvent");
  }
  return event;
}

bool is_end(unsigned long error) noexcept {
  return error == ERROR_BROKEN_PIPE || error == ERROR_NO_DATA ||
         error == ERROR_PIPE_NOT_CONNECTED || error == ERROR_HANDLE_EOF;
}

error_code failure_of_read(unsigned long error) noexcept {
  return is_end(error) ? error_code(asio::error::eof)
                       : error_code(static_cast<int>(error), asio::error::get_system_category());
}

error_code failure_of_write(unsigned long error) noexcept {
  return is_end(error) ? error_code(asio::error::broken_pipe)
                       : error_code(static_cast<int>(error), asio::error::get_system_category());
}

} // namespace

overlapped_pipe::overlapped_pipe(owned_handle handle, direction way)
    : handle_(std::move(handle)), event_(make_event(way == direction::write)), way_(way) {
  if (way == direction::read) {
    moved_ = make_event(false);
    return;
  }
  if (::CreateIoCompletionPort(handle_.get(), port(), 0, 0) == nullptr) {
    throw system_error(last_error(), "CreateIoCompletionPort");
  }
  buffer_ = std::make_unique_for_overwrite<char[]>(most_written);
}

// An operation with an event ends with the thread that has begun it: the bytes of a write would be
// lost. One without, of a handle that belongs to a completion port, goes on; a thread that lives as
// long as the program takes what completes there.
HANDLE overlapped_pipe::port() {
  static const HANDLE instance = [] {
    HANDLE const made = ::CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 1);
    if (made == nullptr) {
      throw system_error(last_error(), "CreateIoCompletionPort");
    }
    start_background_thread([made] {
      for (;;) {
        DWORD moved = 0;
        ULONG_PTR key = 0;
        OVERLAPPED* operation = nullptr;
        const bool good = ::GetQueuedCompletionStatus(made, &moved, &key, &operation, INFINITE);
        if (operation != nullptr) {
          written(operation, good ? 0 : ::GetLastError());
        }
      }
    });
    return made;
  }();
  return instance;
}

void overlapped_pipe::written(OVERLAPPED* operation, unsigned long error) noexcept {
  auto* const end = CONTAINING_RECORD(operation, write_operation, overlapped)->of;
  const std::shared_ptr<overlapped_pipe> self = std::move(end->kept_alive_);
  const std::lock_guard lock(end->mutex_);
  end->under_way_ = false;
  end->failure_ = error;
  if (end->closed_) {
    end->handle_.reset();
  }
  ::SetEvent(end->event_.get());
}

// With the mutex held: whether nothing is under way any more.
bool overlapped_pipe::settle() noexcept {
  DWORD moved = 0;
  if (under_way_ && way_ == direction::read &&
      (::GetOverlappedResult(handle_.get(), &operation_.overlapped, &moved, FALSE) ||
       ::GetLastError() != ERROR_IO_INCOMPLETE)) {
    under_way_ = false;
  }
  return !under_way_;
}

void overlapped_pipe::watch() noexcept {
  const std::lock_guard lock(mutex_);
  if (!settle() || way_ == direction::write) {
    return;
  }
  operation_.overlapped = {};
  operation_.overlapped.hEvent = event_.get();
  char nothing = 0;
  if (handle_ && (::ReadFile(handle_.get(), &nothing, 0, nullptr, &operation_.overlapped) ||
                  ::GetLastError() == ERROR_IO_PENDING)) {
    under_way_ = true;
  } else {
    ::SetEvent(event_.get()); // read_some will tell why
  }
}

std::size_t overlapped_pipe::read_some(void* data, std::size_t size, error_code& ec) noexcept {
  const std::lock_guard lock(mutex_);
  DWORD there = 0;
  if (!::PeekNamedPipe(handle_.get(), nullptr, 0, nullptr, &there, nullptr)) {
    ec = failure_of_read(::GetLastError());
    return 0;
  }
  if (there == 0 || size == 0) {
    ec = size == 0 ? error_code() : error_code(asio::error::would_block);
    return 0;
  }
  const DWORD wanted = static_cast<DWORD>(std::min<std::size_t>(size, there));
  OVERLAPPED reading{};
  reading.hEvent = moved_.get();
  DWORD moved = 0;
  if ((!::ReadFile(handle_.get(), data, wanted, nullptr, &reading) &&
       ::GetLastError() != ERROR_IO_PENDING) ||
      !::GetOverlappedResult(handle_.get(), &reading, &moved, TRUE)) {
    ec = failure_of_read(::GetLastError());
    return 0;
  }
  ec = {};
  return moved;
}

std::size_t overlapped_pipe::write_some(const void* data, std::size_t size,
                                        error_code& ec) noexcept {
  const std::lock_guard lock(mutex_);
  if (!settle()) {
    ec = asio::error::would_block;
    return 0;
  }
  if (failure_ == 0 && size != 0) {
    size = std::min(size, most_written);
    std::memcpy(buffer_.get(), data, size);
    operation_ = {{}, this};
    ::ResetEvent(event_.get());
    under_way_ = true;
    kept_alive_ = shared_from_this();
    if (!::WriteFile(handle_.get(), buffer_.get(), static_cast<DWORD>(size), nullptr,
                     &operation_.overlapped) &&
        ::GetLastError() != ERROR_IO_PENDING) {
      failure_ = ::GetLastError();
      under_way_ = false;
      kept_alive_.reset(); // the caller has another one
      ::SetEvent(event_.get());
    }
  }
  ec = failure_ != 0 ? failure_of_write(failure_) : error_code();
  return failure_ != 0 ? 0 : size;
}

// The memory of a read is the kernel's until it is over.
void overlapped_pipe::abandon() noexcept {
  ::CancelIoEx(handle_.get(), &operation_.overlapped);
  ::WaitForSingleObject(event_.get(), INFINITE);
  under_way_ = false;
}

void overlapped_pipe::close(std::shared_ptr<overlapped_pipe> end) noexcept {
  const std::lock_guard lock(end->mutex_);
  end->closed_ = true;
  if (!end->settle()) {
    if (end->way_ == direction::write) {
      return; // written() closes it
    }
    end->abandon();
  }
  end->handle_.reset();
}

namespace {

struct two_ends {
  owned_handle ours;
  owned_handle other;
};

// Throws system_error. `other_is_ours`: overlapped too, and nobody inherits it.
two_ends open_ends(overlapped_pipe::direction way, unsigned long size, bool other_is_ours) {
  const bool reads = way == overlapped_pipe::direction::read;
  const std::wstring name = random_name(L"\\\\.\\pipe\\subproc-");
  two_ends made;
  made.ours = own(::CreateNamedPipeW(name.c_str(),
                                     (reads ? PIPE_ACCESS_INBOUND : PIPE_ACCESS_OUTBOUND) |
                                         FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
                                     PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT |
                                         PIPE_REJECT_REMOTE_CLIENTS,
                                     1, size, size, 0, nullptr));
  if (!made.ours) {
    throw system_error(last_error(), "CreateNamedPipe");
  }
  SECURITY_ATTRIBUTES attributes{sizeof(SECURITY_ATTRIBUTES), nullptr, !other_is_ours};
  const DWORD access =
      reads ? GENERIC_WRITE | FILE_READ_ATTRIBUTES : GENERIC_READ | FILE_WRITE_ATTRIBUTES;
  made.other = own(::CreateFileW(name.c_str(), access, 0, &attributes, OPEN_EXISTING,
                                 other_is_ours ? FILE_FLAG_OVERLAPPED : 0, nullptr));
  if (!made.other) {
    throw system_error(last_error(), "CreateFile");
  }
  return made;
}

unique_handle announcing(owned_handle end, overlapped_pipe::direction way) {
  native_handle_type const key = end.get();
  auto state = std::make_shared<overlapped_pipe>(std::move(end), way);
  const std::lock_guard lock(table().mutex);
  table().ends.insert_or_assign(key, std::move(state));
  return unique_handle(key);
}

} // namespace

new_pipe make_pipe(overlapped_pipe::direction way, unsigned long size) {
  try {
    two_ends made = open_ends(way, size, false);
    return {announcing(std::move(made.ours), way), std::move(made.other)};
  } catch (const system_error& error) {
    throw spawn_error(error.code(), spawn_step::pipe, {});
  }
}

own_pipe make_own_pipe(overlapped_pipe::direction way, unsigned long size) {
  constexpr auto read = overlapped_pipe::direction::read;
  constexpr auto write = overlapped_pipe::direction::write;
  try {
    two_ends made = open_ends(way, size, true);
    return {announcing(std::move(made.ours), way),
            announcing(std::move(made.other), way == read ? write : read)};
  } catch (const system_error& error) {
    throw spawn_error(error.code(), spawn_step::pipe, {});
  }
}

std::shared_ptr<overlapped_pipe> find_pipe(native_handle_type handle) noexcept {
  const std::lock_guard lock(table().mutex);
  const auto found = table().ends.find(handle);
  return found != table().ends.end() ? found->second : nullptr;
}

std::shared_ptr<overlapped_pipe> take_pipe(native_handle_type handle) noexcept {
  const std::lock_guard lock(table().mutex);
  const auto found = table().ends.find(handle);
  if (found == table().ends.end()) {
    return nullptr;
  }
  std::shared_ptr<overlapped_pipe> taken = std::move(found->second);
  table().ends.erase(found);
  return taken;
}

} // namespace subproc::detail
