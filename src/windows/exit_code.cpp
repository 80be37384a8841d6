#include "../exit_code.hpp"

#include <cstdint>

namespace SUBPROC_NAMESPACE::detail {
namespace {

struct named_code {
  std::uint32_t code;
  const char* name;
};

constexpr named_code names[] = {
    {0x40010004, "ended by a debugger"},
    {0x80000002, "misaligned access"},
    {0x80000003, "breakpoint"},
    {0x80000004, "single step"},
    {0xC0000005, "access violation"},
    {0xC0000006, "in-page error"},
    {0xC0000008, "invalid handle"},
    {0xC0000017, "no memory"},
    {0xC000001D, "illegal instruction"},
    {0xC0000025, "exception that cannot be continued"},
    {0xC000007B, "invalid image format"},
    {0xC000008C, "array bounds exceeded"},
    {0xC000008D, "floating-point denormal operand"},
    {0xC000008E, "floating-point division by zero"},
    {0xC000008F, "floating-point inexact result"},
    {0xC0000090, "floating-point invalid operation"},
    {0xC0000091, "floating-point overflow"},
    {0xC0000092, "floating-point stack check"},
    {0xC0000093, "floating-point underflow"},
    {0xC0000094, "integer division by zero"},
    {0xC0000095, "integer overflow"},
    {0xC0000096, "privileged instruction"},
    {0xC00000FD, "stack overflow"},
    {0xC0000135, "DLL not found"},
    {0xC0000138, "ordinal not found in a DLL"},
    {0xC0000139, "entry point not found in a DLL"},
    {0xC000013A, "ended by Ctrl-C"},
    {0xC0000142, "DLL initialisation failed"},
    {0xC0000194, "possible deadlock"},
    {0xC0000374, "heap corruption"},
    {0xC0000409, "stack buffer overrun or fail-fast"},
    {0xC0000417, "invalid C run-time parameter"},
    {0xC0000420, "assertion failure"},
    {0xC000041D, "fatal exception in a callback"},
    {0xE06D7363, "C++ exception"},
};

constexpr long long first_status = 0x80000000; // warnings and errors; below are a program's own

std::string hexadecimal(std::uint32_t code) {
  constexpr char digits[] = "0123456789ABCDEF";
  std::string text = "0x";
  for (int shift = 28; shift >= 0; shift -= 4) {
    text += digits[code >> static_cast<unsigned>(shift) & 0xFU];
  }
  return text;
}

} // namespace

std::string shown_code(long long code) {
  if (code < 0 || code > UINT32_MAX) {
    return std::to_string(code);
  }
  const auto value = static_cast<std::uint32_t>(code);
  for (const named_code& known : names) {
    if (known.code == value) {
      return hexadecimal(value) + " (" + known.name + ')';
    }
  }
  return code < first_status ? std::to_string(code) : hexadecimal(value);
}

} // namespace subproc::detail
