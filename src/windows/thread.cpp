#include "platform.hpp"

#include "system.hpp"

#include <cerrno>
#include <functional>
#include <memory>
#include <new>
#include <system_error>
#include <utility>

#include <process.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

struct thread_buffer {
  std::unique_ptr<char[]> data;
  std::size_t capacity = 0;
};

void CALLBACK end_buffer(void* buffer) { delete static_cast<thread_buffer*>(buffer); }

unsigned __stdcall run_body(void* given) noexcept {
  const std::unique_ptr<std::function<void()>> body(static_cast<std::function<void()>*>(given));
  (*body)();
  return 0;
}

} // namespace

long process_number() noexcept { return static_cast<long>(::GetCurrentProcessId()); }

// Not a std::thread that is detached: MinGW's frees what a thread that is just starting runs by.
void start_background_thread(std::function<void()> body) {
  auto given = std::make_unique<std::function<void()>>(std::move(body));
  const owned_handle thread(
      reinterpret_cast<HANDLE>(::_beginthreadex(nullptr, 0, run_body, given.get(), 0, nullptr)));
  if (!thread) {
    throw system_error(generic_error(static_cast<std::errc>(errno)), "thread");
  }
  static_cast<void>(given.release()); // the thread's now
}

// Not a thread_local: the run-time of MinGW frees those before it calls their destructors.
std::span<char> scratch(std::size_t size) {
  static const DWORD slot = ::FlsAlloc(end_buffer);
  auto* buffer = static_cast<thread_buffer*>(::FlsGetValue(slot));
  if (!buffer) {
    auto made = std::make_unique<thread_buffer>();
    if (!::FlsSetValue(slot, made.get())) {
      throw std::bad_alloc();
    }
    buffer = made.release();
  }
  if (buffer->capacity < size) {
    buffer->data = std::make_unique_for_overwrite<char[]>(size);
    buffer->capacity = size;
  }
  return {buffer->data.get(), size};
}

// No thread has a mask of signals.
caller_signals::caller_signals() noexcept : mask_{} {}

void caller_signals::run(const std::function<void()>& body) const { body(); }

} // namespace subproc::detail
