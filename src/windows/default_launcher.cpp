// CreateProcessW with an explicit list of the handles that the child inherits: no other child that
// is started at the same moment gets them, and this one gets no other's.

#include "../redirects.hpp"
#include "child_streams.hpp"
#include "process_child.hpp"
#include "start_plan.hpp"

#include <subproc/launcher.hpp>

#include <cstddef>
#include <mutex>
#include <shared_mutex>
#include <vector>

namespace SUBPROC_NAMESPACE {
namespace detail {
namespace {

// Held shared while there are handles that a child which inherits all could get, and alone by the
// start of such a child.
std::shared_mutex& inheritance() {
  static auto* const instance = new std::shared_mutex; // used by threads that outlive statics
  return *instance;
}

[[noreturn]] void fail(const char* what) {
  throw spawn_error(last_error(), spawn_step::fork, {}, what);
}

/// What CreateProcessW takes beyond STARTUPINFO.
class attribute_list {
public:
  explicit attribute_list(DWORD most) {
    SIZE_T size = 0;
    ::InitializeProcThreadAttributeList(nullptr, most, 0, &size);
    memory_.resize(size);
    if (!::InitializeProcThreadAttributeList(get(), most, 0, &size)) {
      memory_.clear();
      fail("attribute list");
    }
  }
  ~attribute_list() { ::DeleteProcThreadAttributeList(get()); }
  attribute_list(const attribute_list&) = delete;
  attribute_list& operator=(const attribute_list&) = delete;

  LPPROC_THREAD_ATTRIBUTE_LIST get() noexcept {
    return reinterpret_cast<LPPROC_THREAD_ATTRIBUTE_LIST>(memory_.data());
  }

  /// The values must live as long as this.
  void add(DWORD_PTR attribute, std::vector<HANDLE>& values) {
    if (!::UpdateProcThreadAttribute(get(), 0, attribute, values.data(),
                                     values.size() * sizeof(HANDLE), nullptr, nullptr)) {
      fail("attribute list");
    }
  }

private:
  std::vector<std::byte> memory_;
};

spawn_error failed_start(const command& cmd) {
  const DWORD error = ::GetLastError();
  if (error == ERROR_DIRECTORY && cmd.cwd()) {
    return {system_error_of(error), spawn_step::chdir, *cmd.cwd()};
  }
  constexpr DWORD elevation_required = 740; // MinGW-w64 has no name for it
  return {system_error_of(error), spawn_step::exec, cmd.executable().value_or(cmd.args().front()),
          error == elevation_required ? "it asks for the rights of an administrator" : ""};
}

started_process create(const command& cmd, start_plan& plan, const child_streams& streams) {
  started_process started;
  const bool scoped = scope_of(cmd) != scope::process;
  started.leads_group = scoped;
  started.ends_with_us = cmd.dies_with_parent();
  if (scoped || started.ends_with_us) {
    try {
      started.scope = job::make(started.ends_with_us);
    } catch (const system_error& error) {
      throw spawn_error(error.code(), spawn_step::fork, {}, "no job object can be had");
    }
  }
  std::vector<HANDLE> inherited;
  for (int number = 0; number < 3; ++number) {
    if (streams.of(number) != nullptr) {
      inherited.push_back(streams.of(number));
    }
  }
  inherited.insert(inherited.end(), plan.handles.begin(), plan.handles.end());
  std::vector<HANDLE> jobs{started.scope.get()};
  attribute_list attributes(2);
  if (cmd.close_fds() && !inherited.empty()) {
    attributes.add(PROC_THREAD_ATTRIBUTE_HANDLE_LIST, inherited);
  }
  if (started.scope) {
    attributes.add(PROC_THREAD_ATTRIBUTE_JOB_LIST, jobs);
  }
  STARTUPINFOEXW startup{};
  startup.StartupInfo.cb = sizeof startup;
  startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
  startup.StartupInfo.hStdInput = streams.of(0);
  startup.StartupInfo.hStdOutput = streams.of(1);
  startup.StartupInfo.hStdError = streams.of(2);
  if (plan.show_window) {
    startup.StartupInfo.dwFlags |= STARTF_USESHOWWINDOW;
    startup.StartupInfo.wShowWindow = *plan.show_window;
  }
  startup.StartupInfo.lpTitle = plan.title ? plan.title->data() : nullptr;
  startup.StartupInfo.lpDesktop = plan.desktop ? plan.desktop->data() : nullptr;
  startup.lpAttributeList = attributes.get();
  const DWORD flags = plan.creation_flags | EXTENDED_STARTUPINFO_PRESENT |
                      CREATE_UNICODE_ENVIRONMENT | (scoped ? CREATE_NEW_PROCESS_GROUP : 0);
  PROCESS_INFORMATION made{};
  if (!::CreateProcessW(
          plan.application.empty() ? nullptr : plan.application.c_str(), plan.command_line.data(),
          nullptr, nullptr, !cmd.close_fds() || !inherited.empty(), flags,
          plan.environment ? plan.environment->data() : nullptr,
          plan.directory.empty() ? nullptr : plan.directory.c_str(), &startup.StartupInfo, &made)) {
    throw failed_start(cmd);
  }
  ::CloseHandle(made.hThread);
  started.handle.reset(made.hProcess);
  started.id = made.dwProcessId;
  return started;
}

class windows_launcher final : public launcher {
public:
  launched_child start(const command& cmd) override {
    start_plan plan = make_start_plan(cmd);
    std::shared_lock shared(inheritance(), std::defer_lock);
    std::unique_lock alone(inheritance(), std::defer_lock);
    if (cmd.close_fds()) {
      shared.lock();
    } else {
      alone.lock();
    }
    child_streams streams(cmd);
    launched_child started;
    started.child = make_process_child(create(cmd, plan, streams));
    started.launched_by = launcher_kind::create_process;
    started.in = std::move(streams.in);
    started.out = std::move(streams.out);
    started.err = std::move(streams.err);
    return started;
  }
};

} // namespace
} // namespace detail

const std::shared_ptr<launcher>& default_launcher() {
  static const auto* const instance =
      new std::shared_ptr<launcher>(std::make_shared<detail::windows_launcher>());
  return *instance;
}

std::shared_ptr<launcher> make_launcher(launcher_kind kind) {
  if (kind == launcher_kind::none || kind == launcher_kind::create_process) {
    return default_launcher();
  }
  throw system_error(detail::generic_error(std::errc::function_not_supported),
                     "make_launcher: no launcher of this kind here");
}

} // namespace subproc
