#include <subproc/memory_file.hpp>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace SUBPROC_NAMESPACE {
namespace {

[[noreturn]] void fail() { throw system_error(errno, detail::system_category(), "memory_file"); }

bool write_all(int descriptor, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t n = ::write(descriptor, bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR) {
      return false;
    }
    bytes.remove_prefix(n > 0 ? static_cast<std::size_t>(n) : 0);
  }
  return true;
}

// Some systems refuse one that could be executed; kernels before 6.3 do not know the flag.
unique_handle make_memfd() noexcept {
  constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int made = ::memfd_create("subproc", flags | MFD_NOEXEC_SEAL);
  if (made < 0 && errno == EINVAL) {
    made = ::memfd_create("subproc", flags);
  }
  return unique_handle(made);
}

// The name is there only until the second descriptor, which cannot write, is open; the bytes come
// after it. A child of another user may then open its own /dev/stdin, as it could with a memfd.
unique_handle deleted_file(std::string folder, std::string_view bytes) {
  std::string path = std::move(folder) + "/subproc-XXXXXX";
  const unique_handle writable(::mkostemp(path.data(), O_CLOEXEC));
  if (!writable) {
    return {};
  }
  unique_handle readable(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ::unlink(path.c_str());
  ::fchmod(writable.get(), 0444);
  if (readable && !write_all(writable.get(), bytes)) {
    readable.reset();
  }
  return readable;
}

} // namespace

unique_handle memory_file(std::string_view bytes) {
  unique_handle file = make_memfd();
  if (file) {
    constexpr int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
    if (!write_all(file.get(), bytes) || ::lseek(file.get(), 0, SEEK_SET) != 0 ||
        ::fcntl(file.get(), F_ADD_SEALS, seals) != 0) {
      fail();
    }
    return file;
  }
  if (errno != ENOSYS && errno != EPERM && errno != EACCES) {
    fail();
  }
  file = deleted_file("/dev/shm", bytes);
  if (!file) {
    const char* const folder = std::getenv("TMPDIR");
    file = deleted_file(folder && *folder ? folder : "/tmp", bytes);
  }
  if (!file) {
    fail();
  }
  return file;
}

} // namespace subproc
