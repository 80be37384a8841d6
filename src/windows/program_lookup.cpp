#include "program_lookup.hpp"

#include "../environ.hpp"
#include "command_line.hpp"
#include "text.hpp"

#include <subproc/error.hpp>

#include <cstddef>
#include <vector>

#include <windows.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::wstring_view separators = L"\\/";
constexpr const char* usual_endings = ".COM;.EXE;.BAT;.CMD";

bool is_separator(wchar_t unit) noexcept { return unit == L'\\' || unit == L'/'; }

bool has_drive(std::wstring_view path) noexcept {
  const auto letter = path.empty() ? L'\0' : static_cast<wchar_t>(path[0] | 0x20);
  return path.size() >= 2 && path[1] == L':' && letter >= L'a' && letter <= L'z';
}

[[noreturn]] void fail(const command& cmd, DWORD error, const std::string& why = {}) {
  throw spawn_error(error_code(static_cast<int>(error), system_category()), spawn_step::exec,
                    cmd.executable().value_or(cmd.args().front()), why);
}

// Of the child: what the command sets, else what it inherits.
std::optional<std::string> variable(const command& cmd, std::string_view name) {
  return cmd.env() ? cmd.env()->get(name) : caller_variable(name);
}

// The parts between semicolons; those between quotes part nothing, and the quotes are left out.
std::vector<std::wstring> parts_of(std::wstring_view list) {
  std::vector<std::wstring> parts(1);
  bool quoted = false;
  for (const wchar_t unit : list) {
    if (unit == L'"') {
      quoted = !quoted;
    } else if (unit == L';' && !quoted) {
      parts.emplace_back();
    } else {
      parts.back() += unit;
    }
  }
  return parts;
}

std::vector<std::wstring> endings(const command& cmd) {
  std::optional<std::string> list = variable(cmd, "PATHEXT");
  if (!list) {
    list = caller_variable("PATHEXT");
  }
  std::vector<std::wstring> result;
  for (std::wstring& ending :
       parts_of(wide_option("env", "PATHEXT", list && !list->empty() ? *list : usual_endings))) {
    if (ending.size() > 1 && ending.front() == L'.' &&
        ending.find_first_of(separators) == std::wstring::npos) {
      result.push_back(std::move(ending));
    }
  }
  return result;
}

std::wstring system_folder() {
  std::wstring path(MAX_PATH, L'\0');
  path.resize(::GetSystemDirectoryW(path.data(), MAX_PATH));
  return path;
}

std::vector<std::wstring> folders(const command& cmd) {
  const std::optional<std::string> path = variable(cmd, "PATH");
  if (!path) {
    return {system_folder()};
  }
  std::vector<std::wstring> result;
  for (std::wstring& folder : parts_of(wide_option("env", "PATH", *path))) {
    if (is_absolute(folder)) {
      result.push_back(std::move(folder));
    }
  }
  return result;
}

/// The path from the root, without `.` and `..` and without what Windows does not count at its end.
std::wstring full_path(const std::wstring& path) {
  std::wstring full(MAX_PATH, L'\0');
  for (;;) {
    const DWORD size =
        ::GetFullPathNameW(path.c_str(), static_cast<DWORD>(full.size()), full.data(), nullptr);
    const bool fits = size < full.size();
    full.resize(size);
    if (fits) {
      return full;
    }
  }
}

// From the child's working directory. What only lacks a drive, or a place on one, is the caller's.
std::wstring from_directory(const command& cmd, const std::wstring& path) {
  if (!cmd.cwd() || is_separator(path.front()) || has_drive(path)) {
    return full_path(path);
  }
  return full_path(full_path(wide_option("cwd", "the path", *cmd.cwd())) + L'\\' + path);
}

enum class found { nothing, directory, file };

found look_at(const std::wstring& path) noexcept {
  const DWORD attributes = ::GetFileAttributesW(path.c_str());
  if (attributes == INVALID_FILE_ATTRIBUTES) {
    return found::nothing;
  }
  return (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0 ? found::directory : found::file;
}

bool has_ending(std::wstring_view path) noexcept {
  const std::size_t name = path.find_last_of(L"\\/:");
  return path.find(L'.', name == std::wstring_view::npos ? 0 : name + 1) != std::wstring_view::npos;
}

} // namespace

bool is_absolute(std::wstring_view path) noexcept {
  return (has_drive(path) && path.size() > 2 && is_separator(path[2])) ||
         (path.size() > 2 && is_separator(path[0]) && is_separator(path[1]));
}

std::wstring extended_path(std::wstring path) {
  if (path.size() < MAX_PATH || path.starts_with(L"\\\\?\\") || path.starts_with(L"\\\\.\\")) {
    return path;
  }
  return path.starts_with(L"\\\\") ? L"\\\\?\\UNC" + path.substr(1) : L"\\\\?\\" + path;
}

std::wstring find_program(const command& cmd) {
  const std::string& named = cmd.executable().value_or(cmd.args().front());
  const std::wstring name =
      wide_option(cmd.executable() ? "executable" : "args", "the program", named);
  const bool is_path = name.find_first_of(separators) != std::wstring::npos || has_drive(name);

  std::vector<std::wstring> tried_endings = endings(cmd);
  if (has_ending(name)) {
    tried_endings.insert(tried_endings.begin(), std::wstring());
  } else if (is_path) {
    tried_endings.emplace_back();
  }
  bool met_directory = false;
  const auto file_at = [&](const std::wstring& start) {
    for (const std::wstring& ending : tried_endings) {
      std::wstring path = extended_path(start + ending);
      switch (look_at(path)) {
      case found::file:
        return path;
      case found::directory:
        met_directory = true;
        break;
      case found::nothing:
        break;
      }
    }
    return std::wstring();
  };

  if (is_path) {
    std::wstring path = file_at(from_directory(cmd, name));
    if (!path.empty()) {
      return path;
    }
    if (met_directory) {
      fail(cmd, ERROR_ACCESS_DENIED, "it is a directory");
    }
  } else {
    for (const std::wstring& folder : folders(cmd)) {
      std::wstring path = file_at(full_path(folder + L'\\' + name));
      if (!path.empty()) {
        return path;
      }
    }
  }
  fail(cmd, ERROR_FILE_NOT_FOUND);
}

} // namespace subproc::detail
