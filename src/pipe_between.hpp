#pragma once

#include <subproc/launcher.hpp>

#include <optional>

namespace SUBPROC_NAMESPACE::detail {

/// A pipe for two children: both ends block, and no child gets them that is not given them.
struct pipe_between {
  unique_handle read_end;
  unique_handle write_end;
};

/// A part of the seam. `size`: command::pipe_size(). Throws spawn_error.
pipe_between make_pipe_between(const std::optional<long long>& size);

} // namespace subproc::detail
