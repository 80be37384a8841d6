#pragma once

#include "time_source.hpp"

#include <subproc/audit.hpp>
#include <subproc/launcher.hpp>

#include <cstdint>
#include <memory>

namespace SUBPROC_NAMESPACE::detail {

/// A number for the events of a spawn, 0 when nobody would see them: then nothing more is done.
std::uint64_t audit_id(const command& cmd) noexcept;

/// Calls the hooks for an event that they may refuse; throws what the first one throws.
void ask_hooks(const audit_event& event);

/// Calls all hooks; exceptions are ignored. No lock may be held.
void tell_hooks(const audit_event& event) noexcept;

/// What the events of a child need once its process object is gone.
struct audit_trail {
  std::uint64_t id;
  command cmd;
  pid_type pid;
  launcher_kind launched_by;
  std::chrono::system_clock::time_point start_time;
  steady_clock::time_point started;
  std::shared_ptr<time_source> clock; ///< by which it started

  audit_event event(audit_kind kind) const noexcept;
  void exited(const exit_report& report) const noexcept;
};

} // namespace subproc::detail
