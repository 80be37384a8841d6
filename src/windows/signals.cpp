#include "platform.hpp"

#include <subproc/exit_status.hpp>

#include "signals.hpp"

namespace SUBPROC_NAMESPACE {

std::string signal_name(int number) {
  switch (number) {
  case detail::sigint:
    return "SIGINT";
  case 4:
    return "SIGILL";
  case 8:
    return "SIGFPE";
  case detail::sigkill:
    return "SIGKILL";
  case 11:
    return "SIGSEGV";
  case detail::sigterm:
    return "SIGTERM";
  case detail::sigbreak:
    return "SIGBREAK";
  case 22:
    return "SIGABRT";
  default:
    return {};
  }
}

namespace detail {

const int stop_signal = sigterm;
const int kill_signal = sigkill;
const int interrupt_signal = sigint;
const int broken_pipe_signal = 0;

bool is_signal(int number) noexcept {
  return number == sigint || number == sigkill || number == sigterm || number == sigbreak;
}

// Nothing is ever halted.
int signal_to_go_on(int) noexcept { return 0; }

} // namespace detail
} // namespace subproc
