#include "start_plan.hpp"

#include "../batch.hpp"
#include "../check.hpp"
#include "command_line.hpp"
#include "environment_block.hpp"
#include "program_lookup.hpp"
#include "shell.hpp"

#include <subproc/error.hpp>

#include <windows.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

// The child starts in it, or the start fails: but CreateProcess would not say that it was this.
std::wstring directory(const std::string& path) {
  const std::wstring wide = wide_option("cwd", "the path", path);
  const DWORD attributes = ::GetFileAttributesW(wide.c_str());
  const bool exists = attributes != INVALID_FILE_ATTRIBUTES;
  if (!exists || (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0) {
    const DWORD error = exists ? ERROR_DIRECTORY : ::GetLastError();
    throw spawn_error(error_code(static_cast<int>(error), system_category()), spawn_step::chdir,
                      path);
  }
  return wide;
}

void plan_program(start_plan& plan, const command& cmd) {
  if (cmd.is_shell()) {
    plan.application = cmd.executable() ? find_program(cmd) : command_interpreter();
    plan.command_line = shell_line(cmd, plan.application);
    plan.show_window = windows::hide;
    return;
  }
  plan.application = find_program(cmd);
  if (is_batch_file(utf8_of(plan.application))) {
    const std::wstring file = std::move(plan.application);
    plan.application = command_interpreter();
    plan.command_line = batch_line(cmd, plan.application, file);
  } else {
    plan.command_line = program_line(cmd);
  }
}

void plan_environment(start_plan& plan, const environment& env) {
  for (const auto& [name, value] : env.edits()) {
    wide_option("env", "a name of a variable", name);
    wide_option("env", "the value of " + name, value.value_or(""));
  }
  plan.environment = make_environment_block(env);
}

void plan_options(start_plan& plan, const windows& given) {
  plan.creation_flags = given.creation_flags | given.priority.value_or(0) |
                        (given.breakaway ? windows::create_breakaway_from_job : 0);
  if (given.show_window) {
    plan.show_window = given.show_window;
  }
  if (given.title) {
    plan.title = wide_option("windows.title", "the text", *given.title);
  }
  if (given.desktop) {
    plan.desktop = wide_option("windows.desktop", "the name", *given.desktop);
  }
  plan.handles = given.handle_list;
}

} // namespace

start_plan make_start_plan(const command& cmd) {
  start_plan plan;
  if (cmd.cwd()) {
    plan.directory = directory(*cmd.cwd());
  }
  plan_program(plan, cmd);
  if (cmd.env()) {
    plan_environment(plan, *cmd.env());
  }
  if (const windows* given = cmd.get<windows>()) {
    plan_options(plan, *given);
  }
  return plan;
}

} // namespace subproc::detail
