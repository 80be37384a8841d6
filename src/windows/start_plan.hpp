#pragma once

#include <subproc/launcher.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

/// What CreateProcessW is told of a command in words and flags.
struct start_plan {
  std::wstring application; ///< the full path of the file that is executed
  std::wstring command_line;
  std::optional<std::wstring> environment; ///< none: the caller's
  std::wstring directory;                  ///< empty: the caller's
  unsigned long creation_flags = 0;
  std::optional<std::uint16_t> show_window;
  std::optional<std::wstring> title;
  std::optional<std::wstring> desktop;
  std::vector<native_handle_type> handles; ///< further ones for the child
};

/// Throws spawn_error: of step exec when there is no such program, chdir when there is no such
/// directory, arguments for what Windows cannot be told.
start_plan make_start_plan(const command& cmd);

} // namespace subproc::detail
