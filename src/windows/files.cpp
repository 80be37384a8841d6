#include "files.hpp"

#include "text.hpp"

namespace SUBPROC_NAMESPACE::detail {
namespace {

struct opening {
  DWORD access;
  DWORD disposition;
};

opening opening_of(open_mode mode, bool for_reading) noexcept {
  switch (mode) {
  case open_mode::automatic:
    return for_reading ? opening{GENERIC_READ, OPEN_EXISTING}
                       : opening{GENERIC_WRITE, CREATE_ALWAYS};
  case open_mode::read:
    return {GENERIC_READ, OPEN_EXISTING};
  case open_mode::truncate:
    return {GENERIC_WRITE, CREATE_ALWAYS};
  case open_mode::append: // without the right to write elsewhere each write goes to the end
    return {FILE_GENERIC_WRITE & ~static_cast<DWORD>(FILE_WRITE_DATA), OPEN_ALWAYS};
  case open_mode::create_new:
    return {GENERIC_WRITE, CREATE_NEW};
  case open_mode::read_write:
    return {GENERIC_READ | GENERIC_WRITE, OPEN_ALWAYS};
  }
  return {GENERIC_READ, OPEN_EXISTING};
}

} // namespace

owned_handle open_file(const file& what, bool for_reading, bool inheritable) {
  const opening how = opening_of(what.mode, for_reading);
  SECURITY_ATTRIBUTES security{sizeof(SECURITY_ATTRIBUTES), nullptr, inheritable};
  std::wstring path;
  try {
    path = to_wide(what.path);
  } catch (const system_error& error) {
    throw spawn_error(error.code(), spawn_step::open, what.path);
  }
  owned_handle opened = own(::CreateFileW(
      path.c_str(), how.access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, &security,
      how.disposition, FILE_ATTRIBUTE_NORMAL, nullptr));
  if (!opened) {
    throw spawn_error(last_error(), spawn_step::open, what.path);
  }
  return opened;
}

owned_handle duplicate_of(HANDLE handle, const char* option, bool inheritable) {
  HANDLE duplicate = nullptr;
  if (!::DuplicateHandle(::GetCurrentProcess(), handle, ::GetCurrentProcess(), &duplicate, 0,
                         inheritable, DUPLICATE_SAME_ACCESS)) {
    throw spawn_error(last_error(), spawn_step::arguments, option, "the handle is not open");
  }
  return own(duplicate);
}

HANDLE own_stream(int number) noexcept {
  constexpr DWORD names[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
  HANDLE const handle = ::GetStdHandle(names[number]);
  return handle == INVALID_HANDLE_VALUE ? nullptr : handle;
}

} // namespace subproc::detail
