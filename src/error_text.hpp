#pragma once

#include <subproc/error.hpp>
#include <subproc/exit_status.hpp>

#include <string>

namespace SUBPROC_NAMESPACE::detail {

// The ends of the sentences that errors say of a command or a pipeline.

/// "returned non-zero exit status 1."
std::string end_text(const exit_status& status);
/// "timed out after 0.05 seconds."
std::string timeout_text(bool inactive, double seconds);
/// "failed: Operation aborted."
std::string failure_text(const error_code& ec);

} // namespace subproc::detail
