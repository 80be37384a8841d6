// What the run-time of a helper does before main: its streams are bytes, and it has the descriptors
// that a test has given it (child_support.hpp).

#include <cstdint>
#include <cstdlib>
#include <string>

#include <fcntl.h>
#include <io.h>

namespace {

const bool prepared = [] {
  for (int stream = 0; stream < 3; ++stream) {
    _setmode(stream, _O_BINARY);
  }
  for (int number = 3; number < 10; ++number) {
    const char* const handle = std::getenv(("SUBPROC_FD_" + std::to_string(number)).c_str());
    if (handle != nullptr) {
      const int made = _open_osfhandle(static_cast<std::intptr_t>(std::atoll(handle)), _O_BINARY);
      if (made != number) {
        _dup2(made, number);
        _close(made);
      }
    }
  }
  return true;
}();

} // namespace
