#pragma once

#include <subproc/detail/export.hpp>
#include <subproc/detail/native_handle.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace SUBPROC_NAMESPACE {

/// What only Windows has, for `command::with()`. On any other platform a command with it is refused
/// by name, before anything starts. The constants are those of the Windows headers.
///
///     command("server.exe").with(windows{.creation_flags = windows::create_no_window,
///                                        .priority = windows::below_normal_priority_class})
struct windows {
  /// Flags of CreateProcess. Two that Windows takes only one of are refused, and so is
  /// create_suspended: nothing here would let the child go on.
  static constexpr std::uint32_t create_suspended = 0x4;
  static constexpr std::uint32_t detached_process = 0x8;
  static constexpr std::uint32_t create_new_console = 0x10;
  static constexpr std::uint32_t create_new_process_group = 0x200;
  static constexpr std::uint32_t create_breakaway_from_job = 0x01000000;
  static constexpr std::uint32_t create_default_error_mode = 0x04000000;
  static constexpr std::uint32_t create_no_window = 0x08000000;

  static constexpr std::uint32_t idle_priority_class = 0x40;
  static constexpr std::uint32_t below_normal_priority_class = 0x4000;
  static constexpr std::uint32_t normal_priority_class = 0x20;
  static constexpr std::uint32_t above_normal_priority_class = 0x8000;
  static constexpr std::uint32_t high_priority_class = 0x80;
  static constexpr std::uint32_t realtime_priority_class = 0x100;

  /// What show_window takes, 0 to 11: SW_HIDE and its like.
  static constexpr std::uint16_t hide = 0;
  static constexpr std::uint16_t show_normal = 1;
  static constexpr std::uint16_t show_minimized = 2;
  static constexpr std::uint16_t show_maximized = 3;
  static constexpr std::uint16_t show_no_activate = 4;
  static constexpr std::uint16_t show_minimized_no_activate = 7;

  std::uint32_t creation_flags = 0;

  /// How the child's first window is shown. Never given: as the child likes; hidden for a shell().
  std::optional<std::uint16_t> show_window = {};

  /// Of a new console.
  std::optional<std::string> title = {};

  /// "desktop" or "station\desktop".
  std::optional<std::string> desktop = {};

  /// One of the priority classes. Never given: the caller's own when that is idle or below normal,
  /// else normal.
  std::optional<std::uint32_t> priority = {};

  /// Further handles that the child inherits, under the same values, and no other child; whether
  /// they are inheritable does not matter. Needs close_fds.
  std::vector<native_handle_type> handle_list = {};

  /// The command line as it is, instead of what list2cmdline() makes of the arguments. The program
  /// is still the first argument, or executable(): none is searched for in this text.
  std::optional<std::string> raw_command_line = {};

  /// A batch file gets its arguments even if they hold what cmd.exe may take for a command of its
  /// own: `"` `%` `!` `^` `&` `<` `>` `(` `)` `|`, an end of line, a backslash at the end. For
  /// arguments that are known to be harmless; nothing is escaped.
  bool trust_batch_arguments = false;

  /// The child does not belong to the job objects of the caller, where these allow that.
  bool breakaway = false;

  friend bool operator==(const windows&, const windows&) = default;
};

} // namespace subproc
