#include <subproc/memory_file.hpp>

#include "random_name.hpp"
#include "system.hpp"

#include <algorithm>
#include <string>
#include <system_error>

namespace SUBPROC_NAMESPACE {
namespace {

[[noreturn]] void fail() { throw system_error(detail::last_error(), "memory_file"); }

std::wstring temporary_path() {
  std::wstring path(MAX_PATH + 1, L'\0');
  const DWORD size = ::GetTempPathW(static_cast<DWORD>(path.size()), path.data());
  if (size == 0 || size > path.size()) {
    fail();
  }
  path.resize(size);
  return detail::random_name(path + L"subproc-");
}

bool write_all(HANDLE file, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const DWORD size = static_cast<DWORD>(std::min<std::size_t>(bytes.size(), 1 << 30));
    DWORD written = 0;
    if (!::WriteFile(file, bytes.data(), size, &written, nullptr)) {
      return false;
    }
    bytes.remove_prefix(written);
  }
  return true;
}

} // namespace

// A temporary file, which the system keeps in memory while it can, and which goes with its last
// handle. It is removed from the folder as the handle that can write it is closed, here.
unique_handle memory_file(std::string_view bytes) {
  const std::wstring path = temporary_path();
  const detail::owned_handle writable = detail::own(::CreateFileW(
      path.c_str(), GENERIC_WRITE | DELETE, FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr,
      CREATE_NEW, FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE, nullptr));
  if (!writable || !write_all(writable.get(), bytes)) {
    fail();
  }
  detail::owned_handle readable = detail::own(::CreateFileW(
      path.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
      OPEN_EXISTING, FILE_ATTRIBUTE_TEMPORARY, nullptr));
  if (!readable) {
    fail();
  }
  return unique_handle(readable.release());
}

} // namespace subproc
