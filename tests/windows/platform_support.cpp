#include "platform_support.hpp"

#include <subproc/launcher.hpp>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include <windows.h>

// After windows.h.
#include <tlhelp32.h>

namespace subproc::test {
namespace {

using query_function = LONG(NTAPI*)(HANDLE, int what, void* answer, ULONG size, ULONG* needed);

query_function system_query(const char* name) {
  const FARPROC found = ::GetProcAddress(::GetModuleHandleW(L"ntdll.dll"), name);
  return reinterpret_cast<query_function>(reinterpret_cast<void*>(found));
}

// A semaphore, or an event that wakes one waiter and is reset by that. MinGW's std::mutex gets one
// when somebody first has to wait for it, whenever that is; one that lives as long as the program,
// as the library and the run-time have some, keeps it.
bool may_be_of_a_lock(HANDLE handle) {
  static const query_function query_event = system_query("NtQueryEvent");
  static const query_function query_semaphore = system_query("NtQuerySemaphore");
  struct {
    LONG kind_or_count;
    LONG state_or_most;
  } answer{};
  if (query_event(handle, 0, &answer, sizeof answer, nullptr) >= 0) {
    return answer.kind_or_count == 1;
  }
  return query_semaphore(handle, 0, &answer, sizeof answer, nullptr) >= 0;
}

} // namespace

unsigned long handle_count() {
  // Wine's GetProcessHandleCount says 0.
  unsigned long count = 0;
  for (std::uintptr_t value = 4; value < 0x4000; value += 4) {
    HANDLE const handle = reinterpret_cast<HANDLE>(value);
    count += is_open(handle) && !may_be_of_a_lock(handle) ? 1 : 0;
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

std::string read_once(native_handle_type handle, std::size_t most) {
  const unique_handle event(::CreateEventW(nullptr, TRUE, FALSE, nullptr));
  OVERLAPPED operation{};
  operation.hEvent = event.get();
  std::string bytes(most, '\0');
  DWORD n = 0;
  if (::ReadFile(handle, bytes.data(), static_cast<DWORD>(most), nullptr, &operation) ||
      ::GetLastError() == ERROR_IO_PENDING) {
    ::GetOverlappedResult(handle, &operation, &n, TRUE);
  }
  bytes.resize(n);
  return bytes;
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

bool is_open(native_handle_type handle) {
  DWORD flags = 0;
  return ::GetHandleInformation(handle, &flags) != 0;
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

namespace {

// In 100 ns since 1601; 0 when it has gone.
std::uint64_t born_at(HANDLE process) {
  FILETIME born{}, ended{}, system{}, user{};
  return ::GetProcessTimes(process, &born, &ended, &system, &user)
             ? std::uint64_t{born.dwHighDateTime} << 32 | born.dwLowDateTime
             : 0;
}

// The id alone may be that of one who has ended and left children.
bool is_younger_than_this(DWORD id) {
  HANDLE const process = ::OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, id);
  if (process == nullptr) {
    return false;
  }
  const bool younger = born_at(process) >= born_at(::GetCurrentProcess());
  ::CloseHandle(process);
  return younger;
}

} // namespace

bool has_children() {
  const unique_handle all(::CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0));
  PROCESSENTRY32W each{};
  each.dwSize = sizeof each;
  bool found = false;
  for (BOOL more = ::Process32FirstW(all.get(), &each); more && !found;
       more = ::Process32NextW(all.get(), &each)) {
    found = each.th32ParentProcessID == ::GetCurrentProcessId() &&
            is_younger_than_this(each.th32ProcessID) &&
            is_running(static_cast<int>(each.th32ProcessID));
  }
  return found;
}

std::string own_program() {
  char path[MAX_PATH];
  return std::string(path, ::GetModuleFileNameA(nullptr, path, MAX_PATH));
}

native_handle_type make_event() { return ::CreateEventW(nullptr, TRUE, FALSE, nullptr); }

void set_event(native_handle_type event) { ::SetEvent(event); }

native_handle_type exchange_stream(int stream, native_handle_type to) {
  constexpr DWORD names[]{STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
  const native_handle_type before = ::GetStdHandle(names[stream]);
  ::SetStdHandle(names[stream], to);
  return before;
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
