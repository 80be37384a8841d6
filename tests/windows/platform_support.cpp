#include "platform_support.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include <windows.h>

namespace subproc::test {

unsigned long handle_count() {
  DWORD count = 0;
  if (!::GetProcessHandleCount(::GetCurrentProcess(), &count)) {
    throw std::runtime_error("GetProcessHandleCount");
  }
  return count;
}

plain_pipe make_plain_pipe() {
  plain_pipe made{};
  if (!::CreatePipe(&made.reader, &made.writer, nullptr, 0)) {
    throw std::runtime_error("CreatePipe");
  }
  return made;
}

std::string read_all(native_handle_type handle) {
  std::string all;
  char buffer[4096];
  DWORD n = 0;
  while (::ReadFile(handle, buffer, sizeof buffer, &n, nullptr) && n > 0) {
    all.append(buffer, n);
  }
  return all;
}

void make_inheritable(native_handle_type handle) {
  ::SetHandleInformation(handle, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
}

bool is_inheritable(native_handle_type handle) {
  DWORD flags = 0;
  return ::GetHandleInformation(handle, &flags) && (flags & HANDLE_FLAG_INHERIT) != 0;
}

bool is_running(int id) {
  HANDLE const process = ::OpenProcess(SYNCHRONIZE, FALSE, static_cast<DWORD>(id));
  if (process == nullptr) {
    return false;
  }
  const bool running = ::WaitForSingleObject(process, 0) == WAIT_TIMEOUT;
  ::CloseHandle(process);
  return running;
}

std::string fresh_path() {
  static std::atomic<int> last{0};
  const std::string name =
      "subproc-test-" + std::to_string(::GetCurrentProcessId()) + '-' + std::to_string(++last);
  return (std::filesystem::temp_directory_path() / name).string();
}

bool under_wine() {
  return ::GetProcAddress(::GetModuleHandleW(L"ntdll.dll"), "wine_get_version") != nullptr;
}

void excuse(const char* reason) { std::printf("excused here: %s\n", reason); }

} // namespace subproc::test
