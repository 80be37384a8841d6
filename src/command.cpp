#include <subproc/command.hpp>

#include <subproc/exit_status.hpp>
#include <subproc/quote.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ostream>

namespace SUBPROC_NAMESPACE {
namespace detail {
namespace {

void append_utf8(std::string& text, std::uint32_t point) {
  const auto append = [&](std::uint32_t mark, unsigned shift, std::uint32_t bits) {
    text += static_cast<char>(mark | (point >> shift & bits));
  };
  if (point < 0x80) {
    append(0, 0, 0x7F);
    return;
  }
  if (point < 0x800) {
    append(0xC0, 6, 0x1F);
  } else {
    if (point < 0x10000) {
      append(0xE0, 12, 0x0F);
    } else {
      append(0xF0, 18, 0x07);
      append(0x80, 12, 0x3F);
    }
    append(0x80, 6, 0x3F);
  }
  append(0x80, 0, 0x3F);
}

} // namespace

std::string utf8_of(std::wstring_view text) {
  std::string utf8;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char32_t point = static_cast<char32_t>(text[i]);
    const char32_t next = i + 1 < text.size() ? static_cast<char32_t>(text[i + 1]) : U'\0';
    if (point >> 10U == 0xD800U >> 10U && next >> 10U == 0xDC00U >> 10U) {
      point = 0x10000U + ((point & 0x3FFU) << 10U) + (next & 0x3FFU);
      ++i;
    }
    append_utf8(utf8, point);
  }
  return utf8;
}

} // namespace detail

// Repeated numbers are harmless, as in Python. 0, 1 and 2 are left out: in(), out() and err() say
// what they are, and the child has them anyway.
command& command::pass_fds(const std::vector<int>& fds) & {
  std::vector<fd_mapping> mappings;
  for (const int number : fds) {
    const fd_mapping same{number, number};
    const bool stream = number >= 0 && number <= 2;
    if (!stream && std::ranges::find(mappings, same) == mappings.end()) {
      mappings.push_back(same);
    }
  }
  return map_fds(std::move(mappings));
}

command& command::executable(std::string path) & {
  if (is_shell()) {
    options_.change().args.front() = path;
  }
  return set(&options::executable, std::move(path));
}

bool command::accepts(const exit_status& status) const noexcept {
  const std::optional<long long> code = status.exit_code();
  return code && std::ranges::find(ok_codes(), *code) != ok_codes().end();
}

// A command that cannot start prints as well: its NUL bytes show as `\0`.
std::string to_string(const command& cmd) {
  std::vector<std::string> words = cmd.args();
  for (std::string& word : words) {
    for (std::size_t at = word.find('\0'); at != std::string::npos; at = word.find('\0', at)) {
      word.replace(at, 1, "\\0");
    }
  }
  return join(words);
}

std::ostream& operator<<(std::ostream& os, const command& cmd) { return os << to_string(cmd); }

} // namespace subproc
