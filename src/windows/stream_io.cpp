#include "platform.hpp"

#include "overlapped_pipe.hpp"
#include "wait_object.hpp"

#include <subproc/launcher.hpp>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

namespace SUBPROC_NAMESPACE {

void unique_handle::reset(native_handle_type handle) noexcept {
  const native_handle_type old = std::exchange(handle_, handle);
  if (old == detail::invalid_handle) {
    return;
  }
  if (auto end = detail::take_pipe(old)) {
    detail::overlapped_pipe::close(std::move(end));
  } else {
    ::CloseHandle(old);
  }
}

namespace detail {
namespace {

DWORD clamped(std::size_t size) noexcept {
  return static_cast<DWORD>(std::min<std::size_t>(size, std::numeric_limits<DWORD>::max()));
}

DWORD milliseconds_until(steady_clock::time_point until) noexcept {
  if (until == steady_clock::time_point::max()) {
    return INFINITE;
  }
  // Far in the past the difference would overflow.
  const auto now = steady_clock::now();
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(std::max(until, now) - now);
  return static_cast<DWORD>(std::min<long long>(left.count(), INFINITE - 1));
}

// What an entry waits for. A pipe is kept: another thread may close it.
struct waited {
  wait_entry* entry;
  std::shared_ptr<overlapped_pipe> pipe;

  HANDLE object() const noexcept { return pipe ? pipe->event() : entry->handle; }
};

// WaitForMultipleObjects takes 64 objects; of more the thread pool sets one event.
class many_objects {
public:
  explicit many_objects(const std::vector<waited>& all)
      : any_(::CreateEventW(nullptr, TRUE, FALSE, nullptr)) {
    if (!any_) {
      throw system_error(last_error(), "CreateEvent");
    }
    waits_.reserve(all.size());
    for (const waited& each : all) {
      PTP_WAIT const wait = ::CreateThreadpoolWait(signalled, any_.get(), nullptr);
      if (wait == nullptr) {
        const auto error = last_error();
        end();
        throw system_error(error, "CreateThreadpoolWait");
      }
      waits_.push_back(wait);
      ::SetThreadpoolWait(wait, each.object(), nullptr);
    }
  }
  ~many_objects() { end(); }
  many_objects(const many_objects&) = delete;
  many_objects& operator=(const many_objects&) = delete;

  HANDLE any() const noexcept { return any_.get(); }

private:
  static void CALLBACK signalled(PTP_CALLBACK_INSTANCE, void* event, PTP_WAIT, TP_WAIT_RESULT) {
    ::SetEvent(event);
  }

  void end() noexcept {
    for (PTP_WAIT const wait : waits_) {
      ::SetThreadpoolWait(wait, nullptr, nullptr);
    }
    for (PTP_WAIT const wait : waits_) {
      ::WaitForThreadpoolWaitCallbacks(wait, TRUE);
      ::CloseThreadpoolWait(wait);
    }
  }

  owned_handle any_;
  std::vector<PTP_WAIT> waits_;
};

bool mark_ready(const std::vector<waited>& all) noexcept {
  bool any = false;
  for (const waited& each : all) {
    each.entry->ready = ::WaitForSingleObject(each.object(), 0) == WAIT_OBJECT_0;
    any = any || each.entry->ready;
  }
  return any;
}

DWORD wait_for_any(const std::vector<waited>& all, DWORD limit) {
  if (all.empty()) {
    ::Sleep(limit);
    return WAIT_TIMEOUT;
  }
  if (all.size() > MAXIMUM_WAIT_OBJECTS) {
    const many_objects objects(all);
    return ::WaitForSingleObject(objects.any(), limit);
  }
  HANDLE objects[MAXIMUM_WAIT_OBJECTS];
  std::ranges::transform(all, objects, &waited::object);
  return ::WaitForMultipleObjects(static_cast<DWORD>(all.size()), objects, FALSE, limit);
}

} // namespace

std::size_t read_some(native_handle_type handle, void* data, std::size_t size,
                      error_code& ec) noexcept {
  if (const auto pipe = find_pipe(handle)) {
    return pipe->read_some(data, size, ec);
  }
  DWORD moved = 0;
  if (!::ReadFile(handle, data, clamped(size), &moved, nullptr) &&
      ::GetLastError() != ERROR_BROKEN_PIPE) {
    ec = error_code(static_cast<int>(::GetLastError()), asio::error::get_system_category());
    return 0;
  }
  ec = moved == 0 && size != 0 ? error_code(asio::error::eof) : error_code();
  return moved;
}

std::size_t write_some(native_handle_type handle, const void* data, std::size_t size,
                       error_code& ec) noexcept {
  if (const auto pipe = find_pipe(handle)) {
    return pipe->write_some(data, size, ec);
  }
  DWORD moved = 0;
  if (!::WriteFile(handle, data, clamped(size), &moved, nullptr)) {
    const DWORD error = ::GetLastError();
    ec = error == ERROR_NO_DATA
             ? error_code(asio::error::broken_pipe)
             : error_code(static_cast<int>(error), asio::error::get_system_category());
    return 0;
  }
  ec = {};
  return moved;
}

void write_to_stderr(std::string_view text) noexcept {
  DWORD lost = 0;
  ::WriteFile(::GetStdHandle(STD_ERROR_HANDLE), text.data(), clamped(text.size()), &lost, nullptr);
}

// The size of a pipe is that of its birth.
void grow_pipe(native_handle_type) noexcept {}

native_handle_type duplicate_wait_object(native_handle_type handle, error_code& ec) noexcept {
  const auto pipe = find_pipe(handle);
  HANDLE duplicate = nullptr;
  if (!::DuplicateHandle(::GetCurrentProcess(), pipe ? pipe->event() : handle,
                         ::GetCurrentProcess(), &duplicate, 0, FALSE, DUPLICATE_SAME_ACCESS)) {
    ec = last_error();
  }
  return duplicate;
}

void watch(native_handle_type handle) noexcept {
  if (const auto pipe = find_pipe(handle)) {
    pipe->watch();
  }
}

bool wait_ready(std::span<wait_entry> entries, steady_clock::time_point until) {
  std::vector<waited> all;
  all.reserve(entries.size());
  for (wait_entry& entry : entries) {
    entry.ready = false;
    if (entry.handle != invalid_handle) {
      all.push_back({&entry, find_pipe(entry.handle)});
    }
  }
  for (;;) {
    for (const waited& each : all) {
      if (each.pipe) {
        each.pipe->watch();
      }
    }
    const DWORD limit = milliseconds_until(until);
    if (wait_for_any(all, limit) == WAIT_FAILED) {
      throw system_error(last_error(), "WaitForMultipleObjects");
    }
    if (mark_ready(all)) {
      return true;
    }
    if (limit != INFINITE && steady_clock::now() >= until) {
      return false;
    }
  }
}

} // namespace detail
} // namespace subproc
