#include "start_support.hpp"

#include <array>
#include <atomic>
#include <fstream>

#include <windows.h>

namespace subproc::test {
namespace {

std::optional<std::wstring> variable(const wchar_t* name) {
  std::wstring value(32767, L'\0');
  ::SetLastError(0);
  const DWORD size =
      ::GetEnvironmentVariableW(name, value.data(), static_cast<DWORD>(value.size()));
  if (size == 0 && ::GetLastError() == ERROR_ENVVAR_NOT_FOUND) {
    return std::nullopt;
  }
  value.resize(size);
  return value;
}

} // namespace

scratch_folder::scratch_folder() {
  static std::atomic<int> count = 0;
  path_ = std::filesystem::temp_directory_path() /
          ("subproc " + std::to_string(::GetCurrentProcessId()) + '-' + std::to_string(++count));
  std::filesystem::create_directories(path_);
}

scratch_folder::~scratch_folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string scratch_folder::path(const std::string& name) const {
  return detail::to_utf8(name.empty() ? path_.wstring()
                                      : path_.wstring() + L'\\' + detail::to_wide(name));
}

std::string scratch_folder::file(const std::string& name) const {
  std::ofstream(std::filesystem::path(detail::to_wide(path(name))));
  return path(name);
}

std::string scratch_folder::folder(const std::string& name) const {
  std::filesystem::create_directories(detail::to_wide(path(name)));
  return path(name);
}

fake_variable::fake_variable(const wchar_t* name, std::optional<std::wstring> value)
    : name_(name), before_(variable(name)) {
  ::SetEnvironmentVariableW(name, value ? value->c_str() : nullptr);
}

fake_variable::~fake_variable() {
  ::SetEnvironmentVariableW(name_, before_ ? before_->c_str() : nullptr);
}

std::string output_of(detail::start_plan plan) {
  SECURITY_ATTRIBUTES inheritable{sizeof inheritable, nullptr, TRUE};
  HANDLE reader = nullptr;
  HANDLE writer = nullptr;
  REQUIRE(::CreatePipe(&reader, &writer, &inheritable, 0));
  ::SetHandleInformation(reader, HANDLE_FLAG_INHERIT, 0);
  STARTUPINFOW startup{};
  startup.cb = sizeof startup;
  startup.dwFlags = STARTF_USESTDHANDLES;
  startup.hStdOutput = writer;
  startup.hStdError = writer;
  PROCESS_INFORMATION made{};
  const BOOL started =
      ::CreateProcessW(plan.application.c_str(), plan.command_line.data(), nullptr, nullptr, TRUE,
                       plan.creation_flags | CREATE_UNICODE_ENVIRONMENT,
                       plan.environment ? plan.environment->data() : nullptr,
                       plan.directory.empty() ? nullptr : plan.directory.c_str(), &startup, &made);
  const DWORD error = started ? 0 : ::GetLastError();
  ::CloseHandle(writer);
  std::string output;
  std::array<char, 4096> buffer;
  DWORD size = 0;
  while (started && ::ReadFile(reader, buffer.data(), buffer.size(), &size, nullptr) && size > 0) {
    output.append(buffer.data(), size);
  }
  ::CloseHandle(reader);
  REQUIRE(error == 0);
  ::WaitForSingleObject(made.hProcess, INFINITE);
  ::CloseHandle(made.hThread);
  ::CloseHandle(made.hProcess);
  return output;
}

} // namespace subproc::test
