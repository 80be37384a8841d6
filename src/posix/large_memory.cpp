#include "platform.hpp"

#include <cstdint>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

bool address_space_is_limited() noexcept {
  rlimit limit{};
  return ::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY;
}

// Linux, mode 2 of proc_sys_vm(5): mappings are charged when they are made.
bool mappings_are_charged() noexcept {
  const int file = ::open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return false;
  }
  char mode = '0';
  const bool charged = ::read(file, &mode, 1) == 1 && mode == '2';
  ::close(file);
  return charged;
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
         !address_space_is_limited() && !mappings_are_charged();
}

} // namespace subproc::detail
