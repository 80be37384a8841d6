#include "text.hpp"

#include <subproc/detail/asio.hpp>

#include <climits>
#include <cstddef>
#include <system_error>

#include <windows.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

[[noreturn]] void refuse_text(const char* what) {
  throw system_error(generic_error(std::errc::illegal_byte_sequence), what);
}

constexpr std::size_t longest_text = INT_MAX / 3; // no character grows more

} // namespace

std::wstring to_wide(std::string_view utf8) {
  constexpr const char* fault = "the text is no valid UTF-8";
  if (utf8.empty()) {
    return {};
  }
  if (utf8.size() > longest_text) {
    refuse_text(fault);
  }
  std::wstring wide(utf8.size(), L'\0');
  const int size = ::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, utf8.data(),
                                         static_cast<int>(utf8.size()), wide.data(),
                                         static_cast<int>(wide.size()));
  if (size == 0) {
    refuse_text(fault);
  }
  wide.resize(static_cast<std::size_t>(size));
  return wide;
}

std::string to_utf8(std::wstring_view text) {
  constexpr const char* fault = "the text is no valid UTF-16";
  if (text.empty()) {
    return {};
  }
  if (text.size() > longest_text) {
    refuse_text(fault);
  }
  std::string narrow(3 * text.size(), '\0');
  const int size = ::WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, text.data(),
                                         static_cast<int>(text.size()), narrow.data(),
                                         static_cast<int>(narrow.size()), nullptr, nullptr);
  if (size == 0) {
    refuse_text(fault);
  }
  narrow.resize(static_cast<std::size_t>(size));
  return narrow;
}

} // namespace subproc::detail
