#pragma once

#include <string>
#include <string_view>

namespace fanout {

/// Any bytes as text or as a quoted attribute of HTML and of XML 1.0: what is no UTF-8, and the
/// characters that XML cannot hold, become U+FFFD.
std::string markup(std::string_view bytes);

/// The beginning of a text, up to `most` bytes, not cut within a character of UTF-8.
std::string_view head_of(std::string_view text, std::size_t most);

} // namespace fanout
