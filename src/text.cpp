#include "text.hpp"

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::size_t longest = 200;

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

void append_escaped(std::string& text, char byte) {
  constexpr char digits[] = "0123456789abcdef";
  const auto value = static_cast<unsigned char>(byte);
  switch (byte) {
  case '\0':
    text += "\\0";
    break;
  case '\n':
    text += "\\n";
    break;
  case '\t':
    text += "\\t";
    break;
  default:
    text += "\\x";
    text += digits[value >> 4U];
    text += digits[value & 0xFU];
  }
}

} // namespace

// A character takes four bytes at the most.
std::size_t cut_before(std::string_view text, std::size_t end) {
  for (std::size_t back = 0; back <= 3 && end > back; ++back) {
    if (!continues_character(text[end - back])) {
      return end - back;
    }
  }
  return end;
}

std::string shown(std::string_view name) {
  const bool cut = name.size() > longest;
  if (cut) {
    name = name.substr(0, cut_before(name, longest));
  }
  std::string text = "'";
  for (const char byte : name) {
    const auto value = static_cast<unsigned char>(byte);
    if (value < 0x20 || value == 0x7F) {
      append_escaped(text, byte);
    } else {
      text += byte;
    }
  }
  text += cut ? "'..." : "'";
  return text;
}

} // namespace subproc::detail
