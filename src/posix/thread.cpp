#include "platform.hpp"

#include "fork_launcher.hpp"
#include "system.hpp"

#include <cstring>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include <signal.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {

long process_number() noexcept { return ::getpid(); }

void start_background_thread(std::function<void()> body) {
  const signal_block blocked; // inherited by the new thread
  try {
    std::thread(std::move(body)).detach();
  } catch (const std::system_error& error) { // the loop's may be of another kind
    throw system_error(generic_error(static_cast<std::errc>(error.code().value())), "thread");
  }
}

std::span<char> scratch(std::size_t size) {
  thread_local std::unique_ptr<char[]> buffer;
  thread_local std::size_t capacity = 0;
  if (capacity < size) {
    buffer = std::make_unique_for_overwrite<char[]>(size);
    capacity = size;
  }
  return {buffer.get(), size};
}

caller_signals::caller_signals() noexcept {
  static_assert(sizeof mask_ >= sizeof(sigset_t));
  sigset_t mask{};
  sys::set_mask(nullptr, &mask);
  std::memcpy(mask_, &mask, sizeof mask);
}

void caller_signals::run(const std::function<void()>& body) const {
  sigset_t mask;
  std::memcpy(&mask, mask_, sizeof mask);
  const signal_block blocked;
  sys::set_mask(&mask, nullptr);
  body();
}

} // namespace subproc::detail
