// Writes its arguments, as its C run-time has taken the command line apart, in UTF-8 with a null
// after each; with the first one "environment" its variables instead.

#include <cwchar>
#include <string>

#include <windows.h>

namespace {

void write(const wchar_t* text) {
  const int size = ::WideCharToMultiByte(CP_UTF8, 0, text, -1, nullptr, 0, nullptr, nullptr);
  std::string bytes(static_cast<std::size_t>(size), '\0');
  ::WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes.data(), size, nullptr, nullptr);
  DWORD written = 0;
  ::WriteFile(::GetStdHandle(STD_OUTPUT_HANDLE), bytes.data(), static_cast<DWORD>(size), &written,
              nullptr);
}

} // namespace

extern "C" {
extern int _dowildcard;
int _dowildcard = 0;
}

int wmain(int count, wchar_t** arguments) {
  if (count > 1 && std::wcscmp(arguments[1], L"environment") == 0) {
    for (const wchar_t* next = ::GetEnvironmentStringsW(); *next != L'\0';
         next += std::wcslen(next) + 1) {
      write(next);
    }
    return 0;
  }
  for (int i = 0; i < count; ++i) {
    write(arguments[i]);
  }
  return 0;
}
