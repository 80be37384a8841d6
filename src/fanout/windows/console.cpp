#include "../console.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <io.h>
#include <sys/stat.h>

#include <windows.h>

#include <shellapi.h>

namespace fanout {
namespace {

constexpr std::size_t longest_write = 32 * 1024; // a console takes no more at once

std::string to_utf8(const wchar_t* text) {
  const int size = ::WideCharToMultiByte(CP_UTF8, 0, text, -1, nullptr, 0, nullptr, nullptr);
  std::string utf8(static_cast<std::size_t>(std::max(size, 1)), '\0');
  ::WideCharToMultiByte(CP_UTF8, 0, text, -1, utf8.data(), size, nullptr, nullptr);
  utf8.pop_back(); // the null
  return utf8;
}

std::wstring to_wide(const std::string& text) {
  const int size = ::MultiByteToWideChar(CP_UTF8, 0, text.c_str(), -1, nullptr, 0);
  std::wstring wide(static_cast<std::size_t>(std::max(size, 1)), L'\0');
  ::MultiByteToWideChar(CP_UTF8, 0, text.c_str(), -1, wide.data(), size);
  wide.pop_back();
  return wide;
}

HANDLE handle_of(int stream) {
  constexpr DWORD names[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
  return ::GetStdHandle(names[stream]);
}

} // namespace

// Bytes as they are, and the escape sequences of the progress bar.
void prepare_streams() {
  for (int stream = 0; stream < 3; ++stream) {
    ::_setmode(stream, _O_BINARY);
  }
  ::SetConsoleOutputCP(CP_UTF8);
  DWORD mode = 0;
  if (::GetConsoleMode(handle_of(2), &mode) != 0) {
    ::SetConsoleMode(handle_of(2), mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
  }
}

std::vector<std::string> arguments(int argc, char** argv) {
  int count = 0;
  const std::unique_ptr<wchar_t*, decltype(&::LocalFree)> words(
      ::CommandLineToArgvW(::GetCommandLineW(), &count), &::LocalFree);
  if (!words) {
    return {argv, argv + argc};
  }
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i) {
    texts.push_back(to_utf8(words.get()[i]));
  }
  return texts;
}

// Handles are millions.
std::size_t affordable(std::size_t jobs, std::size_t, std::size_t) { return jobs; }

// Of CreateProcessW: UTF-16 of no more units than UTF-8 has bytes. Quotes within are rare.
std::size_t room_for_arguments(std::uint64_t) { return 30000; }

std::size_t argument_size(std::size_t length) { return length + 3; } // quotes and a space

std::size_t longest_argument() { return 30000; }

// To cmd.exe these mean something, some of them between quotes too, and a script may have quotes of
// its own around the item.
std::optional<std::string> quoted_for_shell(std::string_view item) {
  if (item.find_first_of("\"%!^&<>()|\r\n") != item.npos || item.ends_with('\\')) {
    return std::nullopt;
  }
  const bool plain = !item.empty() && item.find_first_of(" \t\v\f,;=") == item.npos;
  return plain ? std::string(item) : '"' + std::string(item) + '"';
}

std::string_view name_in(std::string_view path) {
  return path.substr(path.find_last_of("/\\:") + 1); // npos + 1 is 0
}

std::string_view folder_of(std::string_view path) {
  const std::size_t end = path.size() - name_in(path).size();
  if (end == 0) {
    return ".";
  }
  const bool whole = path[end - 1] == ':' || end == 1 || path[end - 2] == ':'; // a root
  return path.substr(0, whole ? end : end - 1);
}

bool is_terminal(int stream) {
  DWORD mode = 0; // _isatty is true for NUL
  return ::GetConsoleMode(handle_of(stream), &mode) != 0;
}

std::size_t terminal_width(int stream) {
  CONSOLE_SCREEN_BUFFER_INFO info{};
  const bool known = ::GetConsoleScreenBufferInfo(handle_of(stream), &info) != 0;
  const int columns = info.srWindow.Right - info.srWindow.Left + 1;
  return known && columns > 0 ? static_cast<std::size_t>(columns) : 80;
}

std::vector<int> stop_signals() { return {SIGINT, SIGTERM, SIGBREAK}; }

const int more_jobs_signal = 0;
const int fewer_jobs_signal = 0;

bool comes_twice(int) { return false; }

read_result read_some(int stream, char* buffer, std::size_t size) {
  const int n = ::_read(stream, buffer, static_cast<unsigned>(size));
  return n >= 0 ? read_result{static_cast<std::size_t>(n), 0} : read_result{0, errno};
}

int write_all(int stream, std::string_view text) {
  while (!text.empty()) {
    const auto size = static_cast<unsigned>(std::min(text.size(), longest_write));
    const int n = ::_write(stream, text.data(), size);
    if (n < 0) {
      // The C library has no name of its own for a pipe that is being closed.
      return errno == EINVAL && ::GetLastError() == ERROR_NO_DATA ? EPIPE : errno;
    }
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

// MinGW's std::thread must not be detached while it starts.
void start_thread(std::function<void()> work) {
  static_cast<void>(new std::thread(std::move(work)));
}

int open_file(const std::string& path, file_use use) {
  const int flags = use == file_use::read         ? _O_RDONLY
                    : use == file_use::create     ? _O_WRONLY | _O_CREAT | _O_TRUNC
                    : use == file_use::create_new ? _O_WRONLY | _O_CREAT | _O_EXCL
                                                  : _O_WRONLY | _O_CREAT | _O_APPEND;
  return ::_wopen(to_wide(path).c_str(), flags | _O_BINARY | _O_NOINHERIT, _S_IREAD | _S_IWRITE);
}

int rewind_file(int descriptor) { return ::_lseeki64(descriptor, 0, SEEK_SET) < 0 ? errno : 0; }

void close_file(int descriptor) { ::_close(descriptor); }

// Only named ones are overlapped, as the loop needs it; nobody else gets the name, or its client's
// end.
pipe_ends make_pipe() {
  static std::atomic<unsigned> count{0};
  const std::wstring name = L"\\\\.\\pipe\\fanout-" + std::to_wstring(::GetCurrentProcessId()) +
                            L'-' + std::to_wstring(++count);
  constexpr DWORD size = 64 * 1024;
  HANDLE const reader = ::CreateNamedPipeW(
      name.c_str(), PIPE_ACCESS_INBOUND | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
      PIPE_TYPE_BYTE | PIPE_REJECT_REMOTE_CLIENTS, 1, size, size, 0, nullptr);
  pipe_ends made{subproc::unique_handle(reader), {}};
  HANDLE const writer = ::CreateFileW(name.c_str(), GENERIC_WRITE, 0, nullptr, OPEN_EXISTING,
                                      FILE_FLAG_OVERLAPPED, nullptr);
  made.writer = subproc::unique_handle(writer);
  if (reader == INVALID_HANDLE_VALUE || writer == INVALID_HANDLE_VALUE) {
    throw std::system_error(static_cast<int>(::GetLastError()), std::system_category(), "pipe");
  }
  return made;
}

subproc::input_redirect empty_input() { return subproc::null; }

const bool jobs_die_with_fanout = true;

int be_nice(int niceness) {
  const DWORD priority = niceness == 0   ? NORMAL_PRIORITY_CLASS
                         : niceness < 10 ? BELOW_NORMAL_PRIORITY_CLASS
                                         : IDLE_PRIORITY_CLASS;
  return ::SetPriorityClass(::GetCurrentProcess(), priority) ? 0 : EPERM;
}

void leave(int code) {
  std::fflush(nullptr);
  ::_exit(code);
}

} // namespace fanout
