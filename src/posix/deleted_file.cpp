#include "deleted_file.hpp"

#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {

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

unique_handle deleted_temporary_file(std::string_view bytes) {
  const char* const folder = std::getenv("TMPDIR");
  return deleted_file(folder && *folder ? folder : "/tmp", bytes);
}

} // namespace subproc::detail
