#include "../environ.hpp"

#include "environment_block.hpp"
#include "text.hpp"

#include <subproc/detail/asio.hpp>

#include <memory>

#include <windows.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

// Without the first seven no program of the system's works.
constexpr std::string_view clean_list[] = {
    "PATH",      "PATHEXT",  "ComSpec", "SystemRoot",   "SystemDrive",
    "windir",    "TEMP",     "TMP",     "USERNAME",     "USERPROFILE",
    "HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA", "ProgramData"};

struct block_freer {
  void operator()(wchar_t* block) const noexcept { ::FreeEnvironmentStringsW(block); }
};

} // namespace

std::vector<std::wstring> caller_entries() {
  std::vector<std::wstring> entries;
  const std::unique_ptr<wchar_t, block_freer> block(::GetEnvironmentStringsW());
  for (const wchar_t* next = block.get(); next != nullptr && *next != L'\0';) {
    entries.emplace_back(next);
    next += entries.back().size() + 1;
  }
  return entries;
}

// An entry with half a character cannot be told in UTF-8. Who inherits it gets it all the same:
// make_environment_block() does not come by here.
std::vector<std::string> caller_environment() {
  std::vector<std::string> entries;
  for (const std::wstring& entry : caller_entries()) {
    try {
      entries.push_back(to_utf8(entry));
    } catch (const system_error&) {
      continue;
    }
  }
  return entries;
}

std::optional<std::string> caller_variable(std::string_view name) {
  if (name.empty() || has_stray_equals(name)) {
    return std::nullopt;
  }
  for (const std::string& entry : caller_environment()) {
    const std::string_view variable(entry);
    const std::size_t end = variable.find('=', 1);
    if (end != std::string_view::npos && same_variable(variable.substr(0, end), name)) {
      return std::string(variable.substr(end + 1));
    }
  }
  return std::nullopt;
}

bool same_variable(std::string_view left, std::string_view right) {
  if (left == right) {
    return true;
  }
  try {
    return same_variable(to_wide(left), to_wide(right));
  } catch (const system_error&) {
    return false; // what is no text is refused when it comes to a start
  }
}

// Of letters outside ASCII only the system knows which are one; none of them is one with an ASCII
// letter.
std::size_t variable_hash(std::string_view name) {
  std::size_t hash = 5381;
  for (const char byte : name) {
    const bool small = byte >= 'a' && byte <= 'z';
    if (static_cast<unsigned char>(byte) < 0x80) {
      hash = hash * 33 + static_cast<unsigned char>(small ? byte - 'a' + 'A' : byte);
    }
  }
  return hash;
}

// `=C:` is the working directory of drive C.
bool has_stray_equals(std::string_view name) noexcept {
  return name == "=" || name.find('=', 1) != std::string_view::npos;
}

std::span<const std::string_view> clean_variables() noexcept { return clean_list; }

} // namespace subproc::detail
