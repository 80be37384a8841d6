#include <subproc/memory_file.hpp>

#include "../posix/deleted_file.hpp"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace SUBPROC_NAMESPACE {
namespace {

[[noreturn]] void fail() { throw system_error(errno, detail::system_category(), "memory_file"); }

// Some systems refuse one that could be executed; kernels before 6.3 do not know the flag.
unique_handle make_memfd() noexcept {
  constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int made = ::memfd_create("subproc", flags | MFD_NOEXEC_SEAL);
  if (made < 0 && errno == EINVAL) {
    made = ::memfd_create("subproc", flags);
  }
  return unique_handle(made);
}

// Against writes to come, as nobody else has the file yet: F_SEAL_WRITE would wait for pages that
// are in use for a moment, and give up after 0.15 s (EBUSY). Kernels before 5.1 have only that.
bool seal(native_handle_type file) noexcept {
  constexpr int rest = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  return ::fcntl(file, F_ADD_SEALS, rest | F_SEAL_FUTURE_WRITE) == 0 ||
         (errno == EINVAL && ::fcntl(file, F_ADD_SEALS, rest | F_SEAL_WRITE) == 0);
}

} // namespace

unique_handle memory_file(std::string_view bytes) {
  unique_handle file = make_memfd();
  if (file) {
    if (!detail::write_all(file.get(), bytes) || ::lseek(file.get(), 0, SEEK_SET) != 0 ||
        !seal(file.get())) {
      fail();
    }
    return file;
  }
  if (errno != ENOSYS && errno != EPERM && errno != EACCES) {
    fail();
  }
  file = detail::deleted_file("/dev/shm", bytes);
  if (!file) {
    file = detail::deleted_temporary_file(bytes);
  }
  if (!file) {
    fail();
  }
  return file;
}

} // namespace subproc
