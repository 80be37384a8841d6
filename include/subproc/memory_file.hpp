#pragma once

#include <subproc/detail/export.hpp>
#include <subproc/launcher.hpp>

#include <string_view>

namespace SUBPROC_NAMESPACE {

/// A file without a name that holds these bytes: it can be read, also again and from any place, but
/// not written. It is at its start, and closed on exec. On Linux it is a sealed memfd; where that
/// is refused, a deleted file opened for reading, in /dev/shm if there is one, else in TMPDIR or
/// /tmp.
///
/// Hand it to a child with fd() or map_fds(). Whoever has the descriptor shares its position; a
/// child that is to have its own gets `memory` or `pass_bytes()` instead, which make a file a
/// start. Throws system_error. Thread safety: safe.
SUBPROC_API unique_handle memory_file(std::string_view bytes);

} // namespace subproc
