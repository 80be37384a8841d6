#include "platform.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

bool address_space_is_limited() noexcept {
  rlimit limit{};
  return ::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY;
}

// Of Linux; elsewhere there is none, and nothing to be said.
std::string_view file_of_proc(const char* path, std::span<char> into) noexcept {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return {};
  }
  const ssize_t size = ::read(file, into.data(), into.size());
  ::close(file);
  return {into.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
}

// Mode 2 of proc_sys_vm(5).
bool mappings_are_charged() noexcept {
  std::array<char, 8> mode{};
  return file_of_proc("/proc/sys/vm/overcommit_memory", mode).starts_with('2');
}

// By mlockall(MCL_FUTURE) what is mapped is taken at once. No call tells that it was made, but what
// was mapped since is counted.
bool mappings_are_locked() noexcept {
  std::array<char, 4096> buffer{};
  std::string_view status = file_of_proc("/proc/self/status", buffer);
  status.remove_prefix(std::min(status.find("VmLck:"), status.size()));
  return status.substr(0, status.find('\n')).find_first_of("123456789") != std::string_view::npos;
}

#if defined(__SANITIZE_ADDRESS__)
#define SUBPROC_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SUBPROC_ADDRESS_SANITIZER 1
#endif
#endif

#if defined(SUBPROC_ADDRESS_SANITIZER)
constexpr bool allocator_touches_all = true; // an eighth of it, to say that it may not be used
#else
constexpr bool allocator_touches_all = false;
#endif

} // namespace

bool reserving_is_free() noexcept {
  return sizeof(void*) >= sizeof(std::uint64_t) && !allocator_touches_all &&
         !address_space_is_limited() && !mappings_are_charged() && !mappings_are_locked();
}

} // namespace subproc::detail
