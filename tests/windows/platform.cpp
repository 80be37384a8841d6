#include "../platform.hpp"

namespace subproc::test {

bool platform_has(feature what) noexcept {
  return what == feature::pipe_size || what == feature::native_handle;
}

} // namespace subproc::test
