#include <fcntl.h>
#include <io.h>

namespace {

const bool binary = [] {
  for (int stream = 0; stream < 3; ++stream) {
    _setmode(stream, _O_BINARY);
  }
  return true;
}();

} // namespace
