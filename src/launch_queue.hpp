#pragma once

#include <subproc/detail/export.hpp>

#include <functional>

namespace SUBPROC_NAMESPACE::detail {

/// Runs `job` on one of the launcher threads, of which there is one a core. They live as long as
/// the program: a parent-death signal is tied to the thread that made the child.
void launch_later(std::function<void()> job);

/// Whether this is one of them. A job is not on one when no thread could be had.
bool on_launcher_thread() noexcept;

} // namespace subproc::detail
