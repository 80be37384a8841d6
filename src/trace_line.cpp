#include <subproc/audit.hpp>

#include <subproc/quote.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>

namespace SUBPROC_NAMESPACE {
namespace {

struct decoded {
  std::size_t size;   ///< in bytes; 1 for what is no UTF-8
  char32_t character; ///< 0 for what is no UTF-8
};

decoded decode(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) {
    return {1, lead};
  }
  const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < size) {
    return {1, 0};
  }
  char32_t value = lead & (0x7FU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) {
      return {1, 0};
    }
    value = value << 6U | (byte(i) & 0x3FU);
  }
  const bool too_long = (size == 3 && value < 0x800) || (size == 4 && value < 0x10000);
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  return too_long || surrogate || value > 0x10FFFF ? decoded{1, 0} : decoded{size, value};
}

// Control characters (C1, which some terminals obey, among them), what ends a line, and what
// changes the direction of text.
bool is_safe(char32_t c) {
  return c >= 0x20 && (c < 0x7F || c >= 0xA0) && c != 0x061C && c != 0x200E && c != 0x200F &&
         (c < 0x2028 || c > 0x202E) && (c < 0x2066 || c > 0x2069);
}

void append_escaped(std::string& line, std::string_view bytes) {
  for (const char each : bytes) {
    const auto value = static_cast<unsigned char>(each);
    if (each == '\n' || each == '\t' || each == '\r') {
      line += each == '\n' ? "\\n" : each == '\t' ? "\\t" : "\\r";
    } else {
      // Three octal digits, which no digit that follows can change.
      line += {'\\', static_cast<char>('0' + (value >> 6U)),
               static_cast<char>('0' + (value >> 3U & 7U)), static_cast<char>('0' + (value & 7U))};
    }
  }
}

// The text with all that is unsafe escaped; `quoted` also escapes what `$'…'` gives a meaning.
std::string visible(std::string_view text, bool quoted) {
  std::string line;
  while (!text.empty()) {
    const auto [size, character] = decode(text);
    if (!is_safe(character)) {
      append_escaped(line, text.substr(0, size));
    } else {
      if (quoted && (character == '\'' || character == '\\')) {
        line += '\\';
      }
      line += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
  return line;
}

std::string word(const std::string& arg) {
  return visible(arg, false) == arg ? quote(arg) : "$'" + visible(arg, true) + '\'';
}

// By no locale: a comma would be another number.
std::string seconds(std::chrono::nanoseconds time) {
  char buffer[64];
  const double value = std::max(std::chrono::duration<double>(time).count(), 0.0);
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed, 2);
  return std::string(buffer, end.ptr) + " s";
}

} // namespace

std::string trace_line(const audit_event& event) {
  if (event.kind == audit_kind::hook_added) {
    return "audit hook added";
  }
  std::string line = "$";
  for (const std::string& arg : event.args()) {
    line += ' ' + word(arg);
  }
  switch (event.kind) {
  case audit_kind::hook_added:
  case audit_kind::spawn:
    break;
  case audit_kind::started:
    line += ": started as " + std::to_string(event.pid);
    break;
  case audit_kind::failed:
    line += ": " + (event.error ? visible(event.error->what(), false) : "not started");
    break;
  case audit_kind::exited:
    line += ": " + to_string(event.status) + " after " + seconds(event.elapsed);
    break;
  case audit_kind::dropped_alive:
    line += ": dropped, " + std::to_string(event.pid) + " still runs";
    break;
  }
  return line;
}

} // namespace subproc
