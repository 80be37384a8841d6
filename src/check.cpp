#include "check.hpp"

#include <subproc/error.hpp>

#include "environ.hpp"
#include "platform.hpp"
#include "redirects.hpp"
#include "text.hpp"

#include <climits>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <unordered_set>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr long long no_id = 4294967295; // (uid_t)-1
constexpr std::size_t most_in_pipe = 65536;
constexpr int most_cpus = 8192; // what Linux can be built for

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
    if (has_stray_equals(name)) {
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

void check_target(const char* option, int child, std::unordered_set<int>& children) {
  if (child < 3) {
    refuse(option, "the child's descriptor " + std::to_string(child) +
                       " is below 3, where in, out and err are");
  }
  if (!children.insert(child).second) {
    refuse(option, "the child's descriptor " + std::to_string(child) + " is given twice");
  }
}

void check_descriptors(const command& cmd) {
  if (!cmd.close_fds() && !(cmd.pass_fds().empty() && cmd.pass_bytes().empty())) {
    const std::string option = cmd.pass_fds().empty() ? "pass_bytes" : "pass_fds";
    refuse(option.c_str(), option + " cannot be given together with close_fds(false)");
  }
  std::unordered_set<int> children;
  for (const auto [child, parent] : cmd.pass_fds()) {
    if (parent < 0) {
      refuse("pass_fds", "descriptor " + std::to_string(parent) + " is negative");
    }
    check_target("pass_fds", child, children);
  }
  for (const passed_bytes& passed : cmd.pass_bytes()) {
    check_target("pass_bytes", passed.child, children);
    if (passed.form == bytes_form::pipe && passed.bytes.size() > most_in_pipe) {
      refuse("pass_bytes", std::to_string(passed.bytes.size()) +
                               " bytes are too many for a pipe, " + std::to_string(most_in_pipe) +
                               " fit: hand them over as a file");
    }
  }
}

void check_limits(const limits& what) {
  std::unordered_set<int> seen;
  for (const resource_limit& each : what.rlimits) {
    const auto* which = std::get_if<resource>(&each.which);
    if (!which) {
      refuse("limits.rlimits", shown(std::get<std::string>(each.which)) + " is no resource");
    }
    const std::string option = std::string("limits.") + to_string(*which);
    if (each.hard && each.soft > *each.hard) {
      refuse(option.c_str(), "the soft limit is above the hard one");
    }
    if (!seen.insert(static_cast<int>(*which)).second) {
      refuse(option.c_str(), "the limit is given twice");
    }
  }
  if (what.nice && (*what.nice < -20 || *what.nice > 19)) {
    refuse("limits.nice", std::to_string(*what.nice) + " is not from -20 to 19");
  }
  if (what.oom_score_adj && (*what.oom_score_adj < -1000 || *what.oom_score_adj > 1000)) {
    refuse("limits.oom_score_adj",
           std::to_string(*what.oom_score_adj) + " is not from -1000 to 1000");
  }
  if (what.cpus) {
    if (what.cpus->empty()) {
      refuse("limits.cpus", "the set is empty, no CPU is left to run on");
    }
    for (const int cpu : *what.cpus) {
      if (cpu < 0 || cpu >= most_cpus) {
        refuse("limits.cpus",
               std::to_string(cpu) + " is not from 0 to " + std::to_string(most_cpus - 1));
      }
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
  throw spawn_error(detail::generic_error(std::errc::invalid_argument), spawn_step::arguments,
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
  if (const limits* given = cmd.get<limits>()) {
    check_limits(*given);
  }
  check_platform_options(cmd);
}

} // namespace subproc::detail
