#include "audit.hpp"

#include "platform.hpp"

#include <atomic>
#include <utility>

namespace SUBPROC_NAMESPACE {
namespace {

struct hook_node {
  audit_hook hook;
  std::atomic<hook_node*> next{nullptr};
};

// A list that only grows: whoever walks it needs no lock, and a copy of the process made by fork
// has it whole. Never freed, because children may end during static destruction.
constinit std::atomic<hook_node*> first_hook{nullptr};
constinit std::atomic<std::uint64_t> last_id{0};

template <class Call>
void for_each_hook(Call call) {
  for (const hook_node* node = first_hook.load(std::memory_order_acquire); node != nullptr;
       node = node->next.load(std::memory_order_acquire)) {
    call(node->hook);
  }
}

// A line for people at the start and at the end.
void trace(const audit_event& event) {
  const bool shown = event.kind == audit_kind::spawn || event.kind == audit_kind::failed ||
                     event.kind == audit_kind::exited;
  if (shown && event.cmd.is_verbose()) {
    detail::write_to_stderr(trace_line(event) + '\n');
  }
}

} // namespace

const char* to_string(audit_kind kind) noexcept {
  switch (kind) {
  case audit_kind::hook_added:
    return "sys.addaudithook";
  case audit_kind::spawn:
    return "subprocess.Popen";
  case audit_kind::started:
    return "subproc.started";
  case audit_kind::failed:
    return "subproc.failed";
  case audit_kind::exited:
    return "subproc.exited";
  case audit_kind::dropped_alive:
    return "subproc.dropped_alive";
  }
  return "unknown";
}

std::string_view audit_event::executable() const noexcept {
  if (cmd.executable()) {
    return *cmd.executable();
  }
  return cmd.args().empty() ? std::string_view() : cmd.args().front();
}

void add_audit_hook(audit_hook hook) {
  if (!hook) {
    throw system_error(detail::generic_error(std::errc::invalid_argument),
                       "add_audit_hook: the hook is empty");
  }
  auto fresh = std::make_unique<hook_node>();
  fresh->hook = std::move(hook);
  try {
    detail::ask_hooks({audit_kind::hook_added, command()});
  } catch (...) {
    return;
  }
  std::atomic<hook_node*>* end = &first_hook;
  for (hook_node* seen = nullptr; !end->compare_exchange_strong(
           seen, fresh.get(), std::memory_order_release, std::memory_order_acquire);
       seen = nullptr) {
    end = &seen->next;
  }
  static_cast<void>(fresh.release());
}

namespace detail {

std::uint64_t audit_id(const command& cmd) noexcept {
  if (first_hook.load(std::memory_order_relaxed) == nullptr && !cmd.is_verbose()) {
    return 0;
  }
  return last_id.fetch_add(1, std::memory_order_relaxed) + 1;
}

void ask_hooks(const audit_event& event) {
  for_each_hook([&](const audit_hook& hook) { hook(event); });
  trace(event);
}

void tell_hooks(const audit_event& event) noexcept {
  const auto call = [&](const auto& hook) {
    try {
      hook(event);
    } catch (...) {
    }
  };
  for_each_hook(call);
  call(trace);
}

audit_event audit_trail::event(audit_kind kind) const noexcept {
  return {kind, cmd, id, pid, launched_by, start_time};
}

void audit_trail::exited(const exit_report& report) const noexcept {
  audit_event last = event(audit_kind::exited);
  last.status = report.status;
  last.usage = report.usage;
  last.end_time = std::chrono::system_clock::now();
  last.elapsed = now_by(clock) - started;
  tell_hooks(last);
}

} // namespace detail
} // namespace subproc
