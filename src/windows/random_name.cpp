#include "random_name.hpp"

#include "system.hpp"

#include <array>

// After windows.h.
#include <bcrypt.h>

namespace SUBPROC_NAMESPACE::detail {

std::wstring random_name(std::wstring_view prefix) {
  std::array<unsigned char, 16> random{};
  if (::BCryptGenRandom(nullptr, random.data(), static_cast<ULONG>(random.size()),
                        BCRYPT_USE_SYSTEM_PREFERRED_RNG) < 0) {
    throw system_error(system_error_of(ERROR_GEN_FAILURE), "random numbers");
  }
  std::wstring name(prefix);
  for (const unsigned char byte : random) {
    constexpr wchar_t digits[] = L"0123456789abcdef";
    name += digits[byte >> 4];
    name += digits[byte & 15];
  }
  return name;
}

} // namespace subproc::detail
