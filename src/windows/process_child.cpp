#include "process_child.hpp"

#include "platform.hpp"
#include "signals.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

// After windows.h.
#include <psapi.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr unsigned terminated = 1; // the exit code that Python's terminate() gives

bool send_break(unsigned long group) noexcept {
  return ::GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, group) != 0;
}

std::atomic<break_sender> sender{send_break};

std::chrono::microseconds time_of(const FILETIME& time) noexcept {
  const unsigned long long ticks =
      (static_cast<unsigned long long>(time.dwHighDateTime) << 32) | time.dwLowDateTime;
  return std::chrono::microseconds(ticks / 10); // of 100 ns
}

resource_usage usage_of(HANDLE process) noexcept {
  resource_usage usage;
  FILETIME born{}, ended{}, system{}, user{};
  if (::GetProcessTimes(process, &born, &ended, &system, &user)) {
    usage.user_time = time_of(user);
    usage.system_time = time_of(system);
  }
  PROCESS_MEMORY_COUNTERS memory{};
  if (::K32GetProcessMemoryInfo(process, &memory, sizeof memory)) {
    usage.max_resident_bytes = memory.PeakWorkingSetSize;
  }
  return usage;
}

class process_child final : public child {
public:
  explicit process_child(started_process started) : it_(std::move(started)) {}

  ~process_child() override {
    if (report_) {
      it_.scope.let_go(); // what it has left behind lives on, as on POSIX
    } else if (it_.ends_with_us) {
      it_.scope.keep();
    }
  }

  pid_type pid() const noexcept override { return static_cast<pid_type>(it_.id); }
  native_handle_type exit_handle() const noexcept override { return it_.handle.get(); }
  bool exit_handle_is_process() const noexcept override { return true; }

  // The handle decides: 259 (STILL_ACTIVE) is an exit code like any other.
  std::optional<exit_report> try_wait() noexcept override {
    if (!report_ && is_over()) {
      DWORD code = 0;
      const bool known = ::GetExitCodeProcess(it_.handle.get(), &code) != 0;
      report_ = exit_report{known ? exit_status::from_code(code) : exit_status(),
                            usage_of(it_.handle.get())};
    }
    return report_;
  }

  error_code signal(int number, scope target) noexcept override {
    const bool alone = target == scope::process || !it_.scope;
    if (alone && report_) {
      return {};
    }
    switch (number) {
    case 0:
      return {};
    case sigkill:
      return terminate(alone);
    case sigterm:
      return alone ? terminate(alone) : ask_to_end();
    case sigint:
      return alone ? detail::generic_error(std::errc::operation_not_supported) : ask_to_end();
    case sigbreak:
      return send_break_to_group();
    default:
      return detail::generic_error(std::errc::invalid_argument);
    }
  }

  bool scope_empty(scope target) noexcept override {
    return try_wait() && (target == scope::process || !it_.scope || it_.scope.empty());
  }

  std::vector<int> scope_members(scope target) override {
    if (target != scope::process && it_.scope) {
      return it_.scope.members();
    }
    return try_wait() ? std::vector<int>() : std::vector<int>{pid()};
  }

  unique_handle release() noexcept override {
    if (it_.ends_with_us) {
      it_.scope.keep();
    }
    return std::move(it_.handle);
  }

private:
  bool is_over() const noexcept {
    return ::WaitForSingleObject(it_.handle.get(), 0) == WAIT_OBJECT_0;
  }

  error_code terminate(bool alone) noexcept {
    if (!alone) {
      return it_.scope.terminate(terminated);
    }
    if (::TerminateProcess(it_.handle.get(), terminated)) {
      return {};
    }
    // Who is ending already refuses access.
    const error_code failed = last_error();
    DWORD code = 0;
    const bool ending =
        is_over() || (::GetExitCodeProcess(it_.handle.get(), &code) && code != STILL_ACTIVE);
    return ending ? error_code() : error_code(failed);
  }

  // Without a console there is nothing polite to be said, and no reason to wait for an answer.
  error_code ask_to_end() noexcept {
    return it_.leads_group && sender.load()(it_.id) ? error_code() : terminate(false);
  }

  error_code send_break_to_group() noexcept {
    if (!it_.leads_group) {
      return detail::generic_error(std::errc::operation_not_supported);
    }
    return sender.load()(it_.id) ? error_code() : error_code(last_error());
  }

  started_process it_;
  std::optional<exit_report> report_;
};

} // namespace

std::unique_ptr<child> make_process_child(started_process started) {
  return std::make_unique<process_child>(std::move(started));
}

break_sender exchange_break_sender(break_sender other) noexcept { return sender.exchange(other); }

} // namespace subproc::detail
