#include "../check.hpp"

#include <bit>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::uint32_t priority_classes =
    windows::idle_priority_class | windows::below_normal_priority_class |
    windows::normal_priority_class | windows::above_normal_priority_class |
    windows::high_priority_class | windows::realtime_priority_class;
constexpr int most_shown = 11; // SW_FORCEMINIMIZE

void refuse_here(bool given, const char* option) {
  if (given) {
    refuse(option, "this is not supported on Windows");
  }
}

void refuse_nul(const char* option, const std::optional<std::string>& text) {
  if (text && text->find('\0') != std::string::npos) {
    refuse(option, "the text holds a NUL byte");
  }
}

void check_flags(const windows& given) {
  const std::uint32_t flags = given.creation_flags | given.priority.value_or(0);
  if (given.priority &&
      (!std::has_single_bit(*given.priority) || (*given.priority & priority_classes) == 0)) {
    refuse("windows.priority", "this is no priority class");
  }
  if (std::popcount(flags & priority_classes) > 1) {
    refuse(given.priority ? "windows.priority" : "windows.creation_flags",
           "more than one priority class is given");
  }
  if ((flags & windows::create_suspended) != 0) {
    refuse("windows.creation_flags", "a child that is created suspended would never go on");
  }
  constexpr std::uint32_t consoles =
      windows::detached_process | windows::create_new_console | windows::create_no_window;
  if (std::popcount(flags & consoles) > 1) {
    refuse("windows.creation_flags", "of detached_process, create_new_console and "
                                     "create_no_window only one can be given");
  }
}

void check_windows(const command& cmd, const windows& given) {
  check_flags(given);
  if (given.show_window && *given.show_window > most_shown) {
    refuse("windows.show_window",
           std::to_string(*given.show_window) + " is not from 0 to " + std::to_string(most_shown));
  }
  refuse_nul("windows.title", given.title);
  refuse_nul("windows.desktop", given.desktop);
  refuse_nul("windows.raw_command_line", given.raw_command_line);
  for (const native_handle_type handle : given.handle_list) {
    if (handle == nullptr || handle == invalid_handle) {
      refuse("windows.handle_list", "a handle was never opened or is closed");
    }
  }
  if (!cmd.close_fds() && !given.handle_list.empty()) {
    refuse("windows.handle_list", "handle_list cannot be given together with close_fds(false)");
  }
}

} // namespace

void check_platform_options(const command& cmd) {
  refuse_here(cmd.pre_exec().has_value(), "pre_exec");
  refuse_here(cmd.user().has_value(), "user");
  refuse_here(cmd.group().has_value(), "group");
  refuse_here(cmd.extra_groups().has_value(), "extra_groups");
  refuse_here(cmd.umask().has_value(), "umask");
  refuse_here(!cmd.pass_fds().empty(), "pass_fds");
  refuse_here(!cmd.pass_bytes().empty(), "pass_bytes");
  refuse_here(cmd.has_new_session(), "new_session");
  refuse_here(cmd.signals() != signal_setup::standard, "signals");
  refuse_here(cmd.falls_back_to_shell(), "shell_fallback");
  refuse_here(cmd.get<limits>() != nullptr, "limits");
  if (cmd.process_group().value_or(0) != 0) {
    refuse("process_group", "on Windows a child can only be given a group of its own, 0");
  }
  if (const windows* given = cmd.get<windows>()) {
    check_windows(cmd, *given);
  }
}

} // namespace subproc::detail
