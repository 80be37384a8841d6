#include "open_anew.hpp"

#include "system.hpp"

#include <array>
#include <cstdlib>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {

unique_handle open_anew(int descriptor) noexcept {
  const int flags = ::fcntl(descriptor, F_GETFL);
  struct stat is {};
  if (flags < 0 || ::fstat(descriptor, &is) != 0) {
    return {};
  }
  if (!S_ISFIFO(is.st_mode)) {
    std::array<char, 64> name;
    if (!::isatty(descriptor) || ::ptsname_r(descriptor, name.data(), name.size()) == 0) {
      return {};
    }
  }
  // Not blocking: a pipe whose other end is closed would wait for one.
  return sys::open_again(descriptor, (flags & (O_ACCMODE | O_APPEND)) | O_NONBLOCK | O_NOCTTY);
}

} // namespace subproc::detail
