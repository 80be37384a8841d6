#pragma once

#include <subproc/detail/export.hpp>

#include <functional>

namespace SUBPROC_NAMESPACE::detail {

/// Runs `job` on one of the launcher threads, of which there is one a core. They live as long as
/// the program: a parent-death signal is tied to the thread that made the child.
void launch_later(std::function<void()> job);

/// Whether this is one of them. A job is not on one when no thread could be had.
bool on_launcher_thread() noexcept;

/// As long as it lives this thread is taken for one of them.
class launcher_role {
public:
  launcher_role() noexcept;
  launcher_role(const launcher_role&) = delete;
  launcher_role& operator=(const launcher_role&) = delete;
  ~launcher_role();

private:
  bool before_;
};

} // namespace subproc::detail
