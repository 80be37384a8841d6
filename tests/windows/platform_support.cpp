#include "platform_support.hpp"

#include <subproc/launcher.hpp>

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

std::string read_once(native_handle_type handle) {
  const unique_handle event(::CreateEventW(nullptr, TRUE, FALSE, nullptr));
  OVERLAPPED operation{};
  operation.hEvent = event.get();
  char buffer[4096];
  DWORD n = 0;
  if (::ReadFile(handle, buffer, sizeof buffer, nullptr, &operation) ||
      ::GetLastError() == ERROR_IO_PENDING) {
    ::GetOverlappedResult(handle, &operation, &n, TRUE);
  }
  return std::string(buffer, n);
}

bool write_all(native_handle_type handle, const std::string& text) {
  DWORD n = 0;
  return ::WriteFile(handle, text.data(), static_cast<DWORD>(text.size()), &n, nullptr) &&
         n == text.size();
}

std::size_t pipe_capacity(native_handle_type pipe) {
  DWORD size = 0;
  ::GetNamedPipeInfo(pipe, nullptr, nullptr, &size, nullptr);
  return size;
}

std::size_t bytes_waiting(native_handle_type pipe) {
  DWORD there = 0;
  ::PeekNamedPipe(pipe, nullptr, 0, nullptr, &there, nullptr);
  return there;
}

bool has_bytes_or_ended(native_handle_type pipe) {
  DWORD there = 0;
  return !::PeekNamedPipe(pipe, nullptr, 0, nullptr, &there, nullptr) || there > 0;
}

long long number_of(native_handle_type handle) { return reinterpret_cast<long long>(handle); }

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

void end_process(int id) {
  HANDLE const process = ::OpenProcess(PROCESS_TERMINATE, FALSE, static_cast<DWORD>(id));
  if (process != nullptr) {
    ::TerminateProcess(process, 1);
    ::CloseHandle(process);
  }
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
