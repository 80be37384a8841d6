#include "../platform.hpp"

namespace subproc::test {

bool platform_has(feature what) noexcept {
  switch (what) {
  case feature::posix_options:
  case feature::posix_shell:
  case feature::posix_errors:
  case feature::signals:
    return true;
  default:
    return false;
  }
}

} // namespace subproc::test
