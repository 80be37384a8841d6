// Where the programs are that the tests start: the only file that knows the build's folders, so
// that a compiler cache serves one build folder from another.

#include "support.hpp"

namespace subproc::test {

std::string helper(const char* name) {
  return SUBPROC_HELPERS_DIR "/" + std::string(name) + SUBPROC_HELPERS_SUFFIX;
}

std::string fanout_program() { return SUBPROC_FANOUT; }

} // namespace subproc::test
