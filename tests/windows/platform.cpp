#include "../platform.hpp"

namespace subproc::test {

bool platform_has(feature what) noexcept { return what == feature::pipe_size; }

} // namespace subproc::test
