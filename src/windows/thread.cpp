#include "platform.hpp"

#include "system.hpp"

#include <memory>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {
namespace {

struct thread_buffer {
  std::unique_ptr<char[]> data;
  std::size_t capacity = 0;
};

void CALLBACK end_buffer(void* buffer) { delete static_cast<thread_buffer*>(buffer); }

} // namespace

long process_number() noexcept { return static_cast<long>(::GetCurrentProcessId()); }

void start_background_thread(std::function<void()> body) {
  try {
    std::thread(std::move(body)).detach();
  } catch (const std::system_error& error) { // the loop's may be of another kind
    throw system_error(generic_error(static_cast<std::errc>(error.code().value())), "thread");
  }
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
