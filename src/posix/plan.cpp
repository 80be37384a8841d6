#include "plan.hpp"

#include "../environ.hpp"
#include "../redirects.hpp"
#include "../text.hpp"
#include "accounts.hpp"
#include "lookup.hpp"
#include "open_anew.hpp"
#include "system.hpp"

#include <subproc/memory_file.hpp>

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr int keep_as_is = -1;

[[noreturn]] void fail(spawn_step step, const std::string& path = {}) {
  throw spawn_error(error_code(errno, detail::system_category()), step, path);
}

int open_flags(open_mode mode, bool for_reading) {
  switch (mode) {
  case open_mode::automatic:
    return for_reading ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC;
  case open_mode::read:
    return O_RDONLY;
  case open_mode::truncate:
    return O_WRONLY | O_CREAT | O_TRUNC;
  case open_mode::append:
    return O_WRONLY | O_CREAT | O_APPEND;
  case open_mode::create_new:
    return O_WRONLY | O_CREAT | O_EXCL;
  case open_mode::read_write:
    return O_RDWR | O_CREAT;
  }
  return O_RDONLY;
}

void require_open(int descriptor, const char* option) {
  if (::fcntl(descriptor, F_GETFD) < 0) {
    throw spawn_error(error_code(errno, detail::system_category()), spawn_step::arguments, option,
                      "descriptor " + std::to_string(descriptor) + " is not open");
  }
}

// The sink of a tee, which stands for the caller's stream of that number when it names none.
template <class Redirect>
void require_sink(const std::optional<Redirect>& redirect, int number, const char* option) {
  if (tees(redirect)) {
    const auto& sink = std::get<tee>(*redirect).sink;
    if (const auto* descriptor = std::get_if<fd>(&sink)) {
      require_open(descriptor->value, option);
    } else if (std::holds_alternative<inherit_t>(sink)) {
      require_open(number, option);
    }
  }
}

} // namespace

void require_all_open(const command& cmd) {
  const auto require = [](const auto& what, const char* option) {
    if (const auto* descriptor = std::get_if<fd>(&what)) {
      require_open(descriptor->value, option);
    }
  };
  require_sink(cmd.out(), STDOUT_FILENO, "out");
  require_sink(cmd.err(), STDERR_FILENO, "err");
  require(effective_in(cmd), "in");
  require(effective_out(cmd), "out");
  const error_redirect err = effective_err(cmd);
  require(err, "err");
  if (std::holds_alternative<merge_t>(err) &&
      std::holds_alternative<inherit_t>(effective_out(cmd))) {
    require_open(STDOUT_FILENO, "err");
  }
  for (const fd_mapping& mapping : cmd.pass_fds()) {
    require_open(mapping.parent, "pass_fds");
  }
}

unique_handle open_file(const file& what, bool for_reading, int more_flags) {
  const int flags = open_flags(what.mode, for_reading) | O_CLOEXEC | more_flags;
  int opened = -1;
  do {
    opened = ::open(what.path.c_str(), flags, 0666);
  } while (opened < 0 && errno == EINTR);
  if (opened < 0) {
    fail(spawn_step::open, what.path);
  }
  return unique_handle(opened);
}

launch_plan::launch_plan(const command& cmd) {
  sys::check_options(cmd);
  plan_program(cmd);
  plan_identity(cmd);
  plan_descriptors(cmd);
}

// What is inherited stays where the caller has it, as without an environment of its own.
void launch_plan::plan_environment(const environment& env) {
  std::vector<std::string_view> inherited;
  if (env.inherits() && environ != nullptr) {
    for (char** entry = environ; *entry != nullptr; ++entry) {
      inherited.emplace_back(*entry);
    }
  }
  const std::vector<chosen_variable> chosen = choose_variables(env, inherited);
  variables_.reserve(env.edits().size()); // so that none moves
  envp_.reserve(chosen.size() + 1);
  for (const chosen_variable& each : chosen) {
    envp_.push_back(each.edit ? variables_.emplace_back(to_entry(*each.edit)).c_str()
                              : inherited[each.inherited].data());
  }
  envp_.push_back(nullptr);
  child_.envp = envp_.data();
}

void launch_plan::plan_program(const command& cmd) {
  program_ = cmd.executable().value_or(cmd.args().front());
  argv_.reserve(cmd.args().size() + 1);
  for (const std::string& arg : cmd.args()) {
    argv_.push_back(arg.c_str());
  }
  argv_.push_back(nullptr);
  child_.argv = argv_.data();

  if (cmd.env()) {
    plan_environment(*cmd.env());
  } else {
    child_.envp = environ;
  }

  const bool looked_up = program_.find('/') == std::string::npos;
  if (!looked_up && !cmd.falls_back_to_shell()) {
    executables_ = {program_.c_str(), nullptr};
  } else {
    candidates_ = executable_candidates(program_, cmd.env());
    if (looked_up && cmd.uses_absolute_path_only()) {
      const auto is_absolute = [](const std::string& path) { return path.front() == '/'; };
      const auto unused =
          std::stable_partition(candidates_.begin(), candidates_.end(), is_absolute);
      unused_candidates_.assign(unused, candidates_.end());
      candidates_.erase(unused, candidates_.end());
    }
    if (cmd.falls_back_to_shell()) {
      plan_shell();
    }
    executables_.reserve(candidates_.size() + 1);
    for (const std::string& candidate : candidates_) {
      executables_.push_back(candidate.c_str());
    }
    executables_.push_back(nullptr);
  }
  child_.executables = executables_.data();
}

void launch_plan::plan_shell() {
  for (std::string& path : candidates_) {
    if (path.front() == '-') {
      path.insert(0, "./"); // the shell would take it for an option
    }
  }
  shell_argv_ = {"/bin/sh", nullptr};
  shell_argv_.insert(shell_argv_.end(), argv_.begin() + 1, argv_.end());
  child_.shell_argv = shell_argv_.data();
}

void launch_plan::plan_identity(const command& cmd) {
  if (cmd.cwd()) {
    directory_ = *cmd.cwd();
    child_.directory = directory_.c_str();
  }
  child_.umask = cmd.umask().value_or(-1);
  child_.signals = cmd.signals();
  child_.new_session = cmd.has_new_session();
  child_.set_process_group = cmd.process_group().has_value();
  child_.process_group = cmd.process_group().value_or(0);
  if (const limits* given = cmd.get<limits>()) {
    limits_.lower(*given);
    child_.limits = limits_.steps();
  }
  if (cmd.dies_with_parent()) {
    child_.parent = ::getpid();
  }
  if (cmd.pre_exec()) {
    child_.pre_exec = cmd.pre_exec()->function;
    child_.pre_exec_argument = cmd.pre_exec()->argument;
  }
  if (cmd.user() || cmd.group() || cmd.extra_groups()) {
    credentials ids = resolve_accounts(cmd);
    if (ids.groups) {
      groups_.assign(ids.groups->begin(), ids.groups->end());
      child_.set_groups = true;
      child_.groups = groups_.data();
      child_.group_count = groups_.size();
    }
    child_.set_gid = ids.gid.has_value();
    child_.gid = ids.gid.value_or(0);
    child_.set_uid = ids.uid.has_value();
    child_.uid = ids.uid.value_or(0);
  }
}

void launch_plan::plan_descriptors(const command& cmd) {
  require_all_open(cmd);
  const bool inherits[] = {std::holds_alternative<inherit_t>(effective_in(cmd)),
                           std::holds_alternative<inherit_t>(effective_out(cmd)),
                           std::holds_alternative<inherit_t>(effective_err(cmd))};
  for (int number = 0; number < 3; ++number) {
    const int flags = inherits[number] ? ::fcntl(number, F_GETFL) : -1;
    inherited_nonblocking_[number] = flags >= 0 && (flags & O_NONBLOCK) != 0;
  }
  moves_.reserve(3 + cmd.pass_fds().size() + cmd.pass_bytes().size());
  const int in_source = source(effective_in(cmd), cmd);
  if (in_source != keep_as_is) {
    moves_.push_back({in_source, 0, -1});
  }
  const int out_source = source(effective_out(cmd), cmd, out);
  if (out_source != keep_as_is) {
    moves_.push_back({out_source, 1, -1});
  }
  const error_redirect err_what = effective_err(cmd);
  int err_source = keep_as_is;
  if (std::holds_alternative<merge_t>(err_what)) {
    err_source = out_source == keep_as_is ? 1 : out_source;
  } else {
    std::visit(
        [&](const auto& what) {
          if constexpr (!std::is_same_v<std::remove_cvref_t<decltype(what)>, merge_t>) {
            err_source = source(output_redirect(what), cmd, err);
          }
        },
        err_what);
  }
  if (err_source != keep_as_is) {
    moves_.push_back({err_source, 2, -1});
  }
  for (const fd_mapping& mapping : cmd.pass_fds()) {
    moves_.push_back({mapping.parent, mapping.child, -1});
    kept_.push_back(mapping.child);
  }
  for (const passed_bytes& passed : cmd.pass_bytes()) {
    moves_.push_back({bytes_source(passed.bytes, passed.form, "pass_bytes"), passed.child, -1});
    kept_.push_back(passed.child);
  }
  std::sort(kept_.begin(), kept_.end());
  child_.moves = moves_.data();
  child_.move_count = moves_.size();
  child_.kept = kept_.data();
  child_.kept_count = kept_.size();
  child_.close_fds = cmd.close_fds();
  child_.close_limit = child_.close_fds ? sys::close_limit() : 0;
}

int launch_plan::source(const input_redirect& what, const command& cmd) {
  if (std::holds_alternative<piped_t>(what)) {
    return make_pipe(true, in, cmd);
  }
  if (const auto* descriptor = std::get_if<fd>(&what)) {
    return blocking(descriptor->value);
  }
  if (const auto* path = std::get_if<file>(&what)) {
    return own(open_file(*path, true));
  }
  if (const auto* bytes = std::get_if<memory>(&what)) {
    return bytes_source(bytes->bytes, bytes_form::file, "in");
  }
  return std::holds_alternative<null_t>(what) ? child_plan::null_device : inherited(0);
}

int launch_plan::source(const output_redirect& what, const command& cmd,
                        unique_handle& parent_end) {
  if (std::holds_alternative<piped_t>(what)) {
    return make_pipe(false, parent_end, cmd);
  }
  if (const auto* descriptor = std::get_if<fd>(&what)) {
    return blocking(descriptor->value);
  }
  if (const auto* path = std::get_if<file>(&what)) {
    return own(open_file(*path, false));
  }
  return std::holds_alternative<null_t>(what) ? child_plan::null_device
                                              : inherited(&parent_end == &out ? 1 : 2);
}

int launch_plan::inherited(int number) {
  const int source = inherited_nonblocking_[number] ? blocking(number) : number;
  return source == number ? keep_as_is : source;
}

// O_NONBLOCK belongs to the open file, which the child would share, and most programs take EAGAIN
// for an error. The caller's flag must stay, so the child gets an open file of its own. What cannot
// be opened again, a socket, stays as it is; a file on a disk never blocks.
int launch_plan::blocking(int descriptor) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  if (flags < 0 || (flags & O_NONBLOCK) == 0) {
    return descriptor;
  }
  unique_handle opened = open_anew(descriptor);
  if (!opened || ::fcntl(opened.get(), F_SETFL, flags & (O_ACCMODE | O_APPEND)) < 0) {
    return descriptor;
  }
  return own(std::move(opened));
}

int launch_plan::own(unique_handle child_end) {
  child_ends_.push_back(std::move(child_end));
  return child_ends_.back().get();
}

// Nothing of the bytes may be in an error.
int launch_plan::bytes_source(const std::string& bytes, bytes_form form, const char* option) {
  if (form == bytes_form::file) {
    try {
      child_ends_.push_back(memory_file(bytes));
    } catch (const system_error& error) {
      throw spawn_error(error.code(), spawn_step::memory, option);
    }
    return child_ends_.back().get();
  }
  int ends[2];
  if (sys::open_pipe(ends) < 0) {
    fail(spawn_step::pipe);
  }
  child_ends_.emplace_back(ends[0]);
  const unique_handle writer(ends[1]);
  // check() has seen to it that they fit, but a user of many pipes gets small ones.
  if (::fcntl(writer.get(), F_SETFL, O_NONBLOCK) < 0 ||
      (!bytes.empty() &&
       ::write(writer.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))) {
    throw spawn_error(detail::generic_error(std::errc::no_buffer_space), spawn_step::memory, option,
                      "the pipe does not take them all, hand them over as a file");
  }
  return child_ends_.back().get();
}

int launch_plan::make_pipe(bool child_reads, unique_handle& parent_end, const command& cmd) {
  int ends[2];
  if (sys::open_pipe(ends) < 0) {
    fail(spawn_step::pipe);
  }
  unique_handle child_end(ends[child_reads ? 0 : 1]);
  parent_end.reset(ends[child_reads ? 1 : 0]);
  if (::fcntl(parent_end.get(), F_SETFL, O_NONBLOCK) < 0) {
    fail(spawn_step::pipe);
  }
  if (cmd.pipe_size() &&
      sys::set_pipe_size(parent_end.get(), static_cast<int>(*cmd.pipe_size())) < 0) {
    fail(spawn_step::pipe);
  }
  return own(std::move(child_end));
}

int launch_plan::highest_source() const noexcept {
  int highest = 2;
  for (const fd_move& move : moves_) {
    highest = std::max(highest, move.source);
  }
  return highest;
}

const std::string* launch_plan::program_left_out() const {
  for (const std::string& candidate : unused_candidates_) {
    const std::string path = directory_.empty() ? candidate : directory_ + '/' + candidate;
    struct stat is {};
    if (::stat(path.c_str(), &is) == 0 && S_ISREG(is.st_mode) &&
        ::access(path.c_str(), X_OK) == 0) {
      return &candidate;
    }
  }
  return nullptr;
}

spawn_error launch_plan::error(const child_report& report) const {
  const error_code ec(report.error, detail::system_category());
  switch (report.step) {
  case spawn_step::exec:
    if (const std::string* left_out = program_left_out(); left_out && report.error == ENOENT) {
      return {ec, report.step, program_,
              "absolute_path_only() leaves out " + shown(*left_out) +
                  ", which a relative entry of PATH leads to"};
    }
    if (report.error == ENOENT && program_.find(' ') != std::string::npos &&
        program_.find('/') == std::string::npos) {
      return {ec, report.step, program_, "a string is one name and never split at spaces"};
    }
    return {ec, report.step, program_};
  case spawn_step::chdir:
    return {ec, report.step, directory_};
  case spawn_step::open:
    return {ec, report.step, "/dev/null"};
  case spawn_step::limits:
    return {ec, report.step, limits_.member(report.where)};
  case spawn_step::setgroups:
  case spawn_step::setgid:
  case spawn_step::setuid:
    return {
        ec, report.step, {}, report.where == ids_differ ? "the ids are not those asked for" : ""};
  default:
    return {ec, report.step, {}};
  }
}

} // namespace subproc::detail
