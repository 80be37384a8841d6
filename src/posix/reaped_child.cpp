#include "reaped_child.hpp"

#include "system.hpp"

#include <subproc/error.hpp>

#include <cerrno>
#include <optional>
#include <vector>

#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

class reaped_child final : public child {
public:
  reaped_child(pid_t pid, const exit_report& report) : pid_(pid), report_(report) {
    int ends[2];
    if (sys::open_pipe(ends) < 0) {
      throw spawn_error(error_code(errno, system_category()), spawn_step::pipe, {});
    }
    ended_.reset(ends[0]);
    ::close(ends[1]); // readable from now on
  }

  pid_type pid() const noexcept override { return pid_; }
  native_handle_type exit_handle() const noexcept override { return ended_.get(); }
  bool exit_handle_is_process() const noexcept override { return false; }
  std::optional<exit_report> try_wait() noexcept override { return report_; }
  error_code signal(int, scope) noexcept override { return {}; }
  bool scope_empty(scope) noexcept override { return true; }
  std::vector<int> scope_members(scope) override { return {}; }
  unique_handle release() noexcept override { return {}; }

private:
  pid_t pid_;
  exit_report report_;
  unique_handle ended_;
};

} // namespace

std::unique_ptr<child> make_reaped_child(pid_t pid, const exit_report& report) {
  return std::make_unique<reaped_child>(pid, report);
}

} // namespace subproc::detail
