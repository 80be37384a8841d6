#include "../platform.hpp"

namespace subproc::test {

bool platform_has(feature) noexcept { return false; }

} // namespace subproc::test
