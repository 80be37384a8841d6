#include <subproc/quote.hpp>

#include <algorithm>
#include <system_error>

namespace subproc {
namespace {

// isalnum(3) would ask the locale.
bool is_plain(char byte) {
  return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
         (byte >= '0' && byte <= '9') ||
         std::string_view("_@%+=:,./-").find(byte) != std::string_view::npos;
}

void append_quoted(std::string& text, std::string_view word) {
  if (word.find('\0') != std::string_view::npos) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "quote: a shell word cannot hold a NUL byte");
  }
  if (!word.empty() && std::ranges::all_of(word, is_plain)) {
    text += word;
    return;
  }
  text += '\'';
  for (const char byte : word) {
    if (byte == '\'') {
      text += "'\"'\"'";
    } else {
      text += byte;
    }
  }
  text += '\'';
}

} // namespace

std::string quote(std::string_view word) {
  std::string text;
  append_quoted(text, word);
  return text;
}

std::string join(std::span<const std::string> words) {
  std::string text;
  bool first = true;
  for (const std::string& word : words) {
    if (!first) {
      text += ' ';
    }
    first = false;
    append_quoted(text, word);
  }
  return text;
}

} // namespace subproc
