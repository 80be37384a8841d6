#pragma once

#include <subproc/launcher.hpp>

#include <memory>

namespace SUBPROC_NAMESPACE::detail {

/// Who starts a command that names no launcher: the platform's, unless a test has put another in
/// its place.
std::shared_ptr<launcher> usual_launcher();

/// False when there is one already. Null takes it away again.
bool replace_usual_launcher(std::shared_ptr<launcher> who);

} // namespace subproc::detail
