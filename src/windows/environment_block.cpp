#include "environment_block.hpp"

#include "text.hpp"

#include <map>

#include <windows.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

int compare(std::wstring_view left, std::wstring_view right) noexcept {
  return ::CompareStringOrdinal(left.data(), static_cast<int>(left.size()), right.data(),
                                static_cast<int>(right.size()), TRUE);
}

struct before {
  using is_transparent = void;
  bool operator()(std::wstring_view left, std::wstring_view right) const noexcept {
    return compare(left, right) == CSTR_LESS_THAN;
  }
};

} // namespace

bool same_variable(std::wstring_view left, std::wstring_view right) noexcept {
  return compare(left, right) == CSTR_EQUAL;
}

// What is inherited is not brought to UTF-8 and back: it need not be valid.
std::wstring make_environment_block(const environment& env) {
  std::map<std::wstring, std::wstring, before> entries;
  if (env.inherits()) {
    for (std::wstring& entry : caller_entries()) {
      const std::size_t end = entry.find(L'=', 1);
      if (end != std::wstring::npos) {
        entries.emplace(entry.substr(0, end), std::move(entry));
      }
    }
  }
  for (const auto& [name, value] : env.edits()) {
    const std::wstring wide = to_wide(name);
    entries.erase(wide);
    if (value) {
      entries.emplace(wide, wide + L'=' + to_wide(*value));
    }
  }
  std::wstring block;
  for (const auto& [name, entry] : entries) {
    block.append(entry).push_back(L'\0');
  }
  // An empty one is two nulls.
  block.append(block.empty() ? 2 : 1, L'\0');
  return block;
}

} // namespace subproc::detail
