#include "markup.hpp"

#include <algorithm>
#include <cstddef>

namespace fanout {
namespace {

/// Bytes of the character of UTF-8 that these begin with; 0 when that is none, or none of XML.
std::size_t character(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned first = at(0);
  if (first < 0x80) {
    return first >= 0x20 || first == '\t' || first == '\n' || first == '\r' ? 1 : 0;
  }
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || size > bytes.size()) {
    return 0;
  }
  unsigned value = first & (0x7FU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xC0U) != 0x80) {
      return 0;
    }
    value = value << 6U | (at(i) & 0x3FU);
  }
  constexpr unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  const bool none = value == 0xFFFE || value == 0xFFFF || value > 0x10FFFF;
  return value < least[size] || surrogate || none ? 0 : size;
}

} // namespace

std::string markup(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::size_t size = character(bytes);
    switch (size == 1 ? bytes.front() : '\0') {
    case '&':
      text += "&amp;";
      break;
    case '<':
      text += "&lt;";
      break;
    case '>':
      text += "&gt;";
      break;
    case '"':
      text += "&quot;";
      break;
    case '\'':
      text += "&#39;";
      break;
    case '\r': // which a parser would make a newline
      text += "&#13;";
      break;
    default:
      text += size == 0 ? "\uFFFD" : bytes.substr(0, size);
    }
    bytes.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return text;
}

std::string_view head_of(std::string_view text, std::size_t most) {
  if (text.size() <= most) {
    return text;
  }
  std::size_t end = most;
  while (end + 4 > most && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80) {
    --end;
  }
  return text.substr(0, end);
}

} // namespace fanout
