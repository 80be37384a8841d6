#pragma once

#include <subproc/detail/export.hpp>

#include <cstddef>
#include <string>

namespace SUBPROC_NAMESPACE {

/// The limit of a line when none is given, as asyncio's.
inline constexpr std::size_t default_line_limit = 64 * 1024;

/// A line, or a part of one that is longer than the limit.
struct line_piece {
  std::string text;
  bool goes_on = false; ///< the next piece belongs to the same line
};

} // namespace subproc
