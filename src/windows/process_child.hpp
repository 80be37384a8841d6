#pragma once

#include "job.hpp"

#include <subproc/launcher.hpp>

#include <memory>

namespace SUBPROC_NAMESPACE::detail {

/// What is to be known of a process that was just started.
struct started_process {
  unsigned long id = 0;
  unique_handle handle;
  job scope;                ///< none: the scope of a stop is the process alone
  bool leads_group = false; ///< of the console: CTRL_BREAK can be sent to it
  bool ends_with_us = false;
};

std::unique_ptr<child> make_process_child(started_process started);

/// Sends CTRL_BREAK to the process group of that id; false when there is no console to send it by.
/// A test puts another in its place.
using break_sender = bool (*)(unsigned long group) noexcept;
break_sender exchange_break_sender(break_sender sender) noexcept;

} // namespace subproc::detail
