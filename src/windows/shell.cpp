#include "shell.hpp"

#include "../environ.hpp"
#include "program_lookup.hpp"
#include "text.hpp"

#include <subproc/command.hpp>
#include <subproc/error.hpp>

#include <windows.h>

namespace SUBPROC_NAMESPACE::detail {

shell_call platform_shell() noexcept { return {"cmd.exe", "/c"}; }

std::wstring command_interpreter() {
  const std::optional<std::string> named = caller_variable("ComSpec");
  if (named && is_absolute(to_wide(*named))) {
    return to_wide(*named);
  }
  const std::optional<std::string> root = caller_variable("SystemRoot");
  if (!root || !is_absolute(to_wide(*root))) {
    throw spawn_error(error_code(ERROR_FILE_NOT_FOUND, system_category()), spawn_step::exec,
                      platform_shell().program,
                      "shell not found: neither %ComSpec% nor %SystemRoot% is set");
  }
  return to_wide(*root) + L"\\System32\\cmd.exe";
}

} // namespace subproc::detail
