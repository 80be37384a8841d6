#include "check.hpp"

#include <subproc/error.hpp>

#include "platform.hpp"
#include "redirects.hpp"
#include "text.hpp"

#include <climits>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <unordered_set>

namespace subproc::detail {
namespace {

constexpr long long no_id = 4294967295; // (uid_t)-1

void refuse_nul(const char* option, const std::string& what, std::string_view value) {
  if (value.find('\0') != std::string_view::npos) {
    refuse(option, what + ' ' + shown(value) + " holds a NUL byte");
  }
}

void check_program(const command& cmd) {
  if (cmd.args().empty()) {
    refuse("args", "the command is empty, give at least the program");
  }
  if (cmd.executable()) {
    if (cmd.executable()->empty()) {
      refuse("executable", "the name is empty");
    }
    refuse_nul("executable", "the name", *cmd.executable());
  } else if (cmd.args().front().empty()) {
    refuse("args", "the name of the program is empty");
  }
  for (std::size_t i = 0; i < cmd.args().size(); ++i) {
    refuse_nul("args", "argument " + std::to_string(i), cmd.args()[i]);
  }
  if (cmd.cwd()) {
    refuse_nul("cwd", "the path", *cmd.cwd());
  }
}

void check_environment(const environment& env) {
  for (const auto& [name, value] : env.edits()) {
    const std::string what = "environment variable " + shown(name) + ": ";
    if (name.empty()) {
      refuse("env", what + "a name may not be empty");
    }
    if (name.find('=') != std::string::npos) {
      refuse("env", what + "a name may not contain '='");
    }
    if (name.find('\0') != std::string::npos) {
      refuse("env", what + "a name may not hold a NUL byte");
    }
    if (value && value->find('\0') != std::string::npos) {
      refuse("env", what + "a value may not hold a NUL byte");
    }
  }
}

template <class Handle>
bool is_handle(Handle handle) {
  if constexpr (std::is_signed_v<Handle>) {
    return handle >= 0;
  } else {
    return handle != Handle() && handle != invalid_handle;
  }
}

void check_target(const char* option, const fd& descriptor, bool) {
  if (!is_handle(descriptor.value)) {
    refuse(option, "the descriptor is negative, it was never opened or is closed");
  }
}

void check_target(const char* option, const file& target, bool reads) {
  refuse_nul(option, "the path", target.path);
  const bool both_ways =
      target.mode == open_mode::automatic || target.mode == open_mode::read_write;
  if (!both_ways && reads != (target.mode == open_mode::read)) {
    refuse(option, shown(target.path) + " would be opened " +
                       (reads ? "only for writing, but stdin is read"
                              : "only for reading, but it is written to"));
  }
}

template <class Other>
void check_target(const char*, const Other&, bool) {}

void check_target(const char* option, const tee& what, bool reads) {
  std::visit([&](const auto& sink) { check_target(option, sink, reads); }, what.sink);
}

template <class Redirect>
void check_stream(const char* option, const std::optional<Redirect>& redirect, bool reads) {
  if (redirect) {
    std::visit([&](const auto& what) { check_target(option, what, reads); }, *redirect);
  }
}

bool captures(const command& cmd) {
  return std::holds_alternative<piped_t>(effective_out(cmd)) ||
         std::holds_alternative<piped_t>(effective_err(cmd));
}

void check_capture(const command& cmd) {
  if (cmd.inactivity_timeout() && !captures(cmd)) {
    refuse("inactivity_timeout", "neither out nor err is captured, so that nothing would show "
                                 "whether the child is active");
  }
  const overflow policy = cmd.limit().policy;
  if (cmd.has_ordered_output() && (policy == overflow::tail || policy == overflow::head_tail)) {
    refuse("ordered_output", "ordered_output cannot be given together with a limit that keeps a "
                             "tail, whose bytes have no fixed place");
  }
}

void check_streams(const command& cmd) {
  if (cmd.input() && cmd.in()) {
    refuse("input", "input and in cannot be given together, input makes stdin a pipe");
  }
  if (cmd.captures_output() && (cmd.out() || cmd.err())) {
    refuse("capture_output", std::string("capture_output and ") + (cmd.out() ? "out" : "err") +
                                 " cannot be given together, capture_output pipes both streams");
  }
  check_stream("in", cmd.in(), true);
  check_stream("out", cmd.out(), false);
  check_stream("err", cmd.err(), false);
  if (cmd.pipe_size() && (*cmd.pipe_size() <= 0 || *cmd.pipe_size() > INT_MAX)) {
    refuse("pipe_size",
           std::to_string(*cmd.pipe_size()) + " is not from 1 to " + std::to_string(INT_MAX));
  }
}

void check_descriptors(const command& cmd) {
  if (cmd.pass_fds().empty()) {
    return;
  }
  if (!cmd.close_fds()) {
    refuse("pass_fds", "pass_fds cannot be given together with close_fds(false)");
  }
  std::unordered_set<int> children;
  for (const auto [child, parent] : cmd.pass_fds()) {
    if (parent < 0) {
      refuse("pass_fds", "descriptor " + std::to_string(parent) + " is negative");
    }
    if (child < 3) {
      refuse("pass_fds", "the child's descriptor " + std::to_string(child) +
                             " is below 3, where in, out and err are");
    }
    if (!children.insert(child).second) {
      refuse("pass_fds", "the child's descriptor " + std::to_string(child) + " is given twice");
    }
  }
}

void check_identity(const command& cmd) {
  if (cmd.process_group() && *cmd.process_group() < 0) {
    refuse("process_group", std::to_string(*cmd.process_group()) + " is negative");
  }
  if (cmd.process_group() && cmd.has_new_session()) {
    refuse("process_group",
           "process_group and new_session cannot be given together, a session leader cannot move");
  }
  if (cmd.umask() && (*cmd.umask() < 0 || *cmd.umask() > 0777)) {
    refuse("umask", std::to_string(*cmd.umask()) + " is not from 0 to 0777 (511)");
  }
  if (cmd.user()) {
    check_account("user", *cmd.user());
  }
  if (cmd.group()) {
    check_account("group", *cmd.group());
  }
  if (cmd.extra_groups()) {
    for (const account& group : *cmd.extra_groups()) {
      check_account("extra_groups", group);
    }
  }
  if (cmd.pre_exec() && cmd.pre_exec()->function == nullptr) {
    refuse("pre_exec", "the function is null");
  }
}

} // namespace

std::string fault_of(const std::vector<stop_step>& steps) {
  if (steps.empty()) {
    return "the list is empty, give at least one step";
  }
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const std::string step = "step " + std::to_string(i + 1) + ": ";
    if (steps[i].signal != 0 && !is_signal(steps[i].signal)) {
      return step + std::to_string(steps[i].signal) + " is no signal, and not 0, which only waits";
    }
    if (steps[i].grace < duration()) {
      return step + "the grace is negative";
    }
  }
  return {};
}

void refuse(const char* option, const std::string& detail) {
  throw spawn_error(std::make_error_code(std::errc::invalid_argument), spawn_step::arguments,
                    option, detail);
}

void check_account(const char* option, const account& who) {
  if (const auto* id = std::get_if<long long>(&who)) {
    if (*id < 0 || *id >= no_id) {
      refuse(option,
             "id " + std::to_string(*id) + " is not from 0 to " + std::to_string(no_id - 1));
    }
  } else {
    const std::string& name = std::get<std::string>(who);
    if (name.empty()) {
      refuse(option, "the name is empty");
    }
    refuse_nul(option, "the name", name);
  }
}

// Left to the start, which alone can know: whether files, descriptors and accounts exist, and
// rights. A limit of 0 is fine under every policy: with overflow::error it means "must be silent".
void check(const command& cmd) {
  check_program(cmd);
  if (cmd.env()) {
    check_environment(*cmd.env());
  }
  check_streams(cmd);
  check_capture(cmd);
  check_descriptors(cmd);
  check_identity(cmd);
  if (cmd.stop_steps()) {
    if (const std::string fault = fault_of(*cmd.stop_steps()); !fault.empty()) {
      refuse("stop_steps", fault);
    }
  }
}

} // namespace subproc::detail
