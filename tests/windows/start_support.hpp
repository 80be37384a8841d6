#pragma once

#include <windows/start_plan.hpp>
#include <windows/text.hpp>

#include "../printing.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace subproc::test {

/// The path of a program of helpers; see programs.cpp.
std::string helper(const char* name);

/// A plan is made; nothing is started by that.
inline detail::start_plan plan_of(const command& cmd) { return detail::make_start_plan(cmd); }

/// A folder for the length of a scope.
class scratch_folder {
public:
  scratch_folder();
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;
  ~scratch_folder();

  std::string path(const std::string& name = {}) const;
  /// An empty file; its path.
  std::string file(const std::string& name) const;
  std::string folder(const std::string& name) const;

private:
  std::filesystem::path path_;
};

/// Another variable of this process for the length of a scope; none: it is unset.
class fake_variable {
public:
  fake_variable(const wchar_t* name, std::optional<std::wstring> value);
  fake_variable(const fake_variable&) = delete;
  fake_variable& operator=(const fake_variable&) = delete;
  ~fake_variable();

private:
  const wchar_t* name_;
  std::optional<std::wstring> before_;
};

/// Runs what is planned and gives what it writes to stdout.
std::string output_of(detail::start_plan plan);

/// The refusal of an option, before anything starts.
inline void refuses(const command& cmd, const std::string& option, const std::string& reason) {
  const spawn_error error = spawn_error_of([&] { plan_of(cmd); });
  const std::string text = error.what();
  CAPTURE(text);
  CHECK(error.code() == std::errc::invalid_argument);
  CHECK(error.step() == spawn_step::arguments);
  CHECK(error.path() == option);
  CHECK(text.find(reason) != std::string::npos);
}

} // namespace subproc::test
