#pragma once

#include <subproc/detail/export.hpp>

#include <string>

namespace SUBPROC_NAMESPACE {

/// The text with every line end as `\n`: `\r\n` and a `\r` alone become one, as in Python's text
/// mode. Give a whole text: a `\r\n` that is cut in two would become two line ends. Thread safety:
/// safe.
SUBPROC_API std::string normalise_newlines(std::string text);

} // namespace subproc
