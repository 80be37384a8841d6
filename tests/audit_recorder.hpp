#pragma once

// What audit hooks have been told. Hooks cannot be removed: each case with one runs in a process of
// its own.

#include <subproc/audit.hpp>
#include <subproc/pool.hpp>
#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace subproc::test {

struct seen_event {
  audit_kind kind;
  command cmd;
  std::uint64_t id;
  pid_type pid;
  launcher_kind launched_by;
  exit_status status;
  std::chrono::nanoseconds elapsed;
  std::string error;
  std::thread::id thread;
};

using kinds = std::vector<audit_kind>;
constexpr auto spawn = audit_kind::spawn;
constexpr auto started = audit_kind::started;
constexpr auto failed = audit_kind::failed;
constexpr auto exited = audit_kind::exited;
constexpr auto dropped_alive = audit_kind::dropped_alive;

class recorder {
public:
  void add(const audit_event& event) {
    const std::lock_guard lock(mutex_);
    events_.push_back({event.kind, event.cmd, event.id, event.pid, event.launched_by, event.status,
                       event.elapsed, event.error ? event.error->what() : "",
                       std::this_thread::get_id()});
  }

  std::vector<seen_event> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(events_, {});
  }

  std::size_t count(audit_kind kind) {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::ranges::count(events_, kind, &seen_event::kind));
  }

  /// What came since the last call, once the exit is among it.
  kinds until_exit() {
    CHECK(eventually([this] { return count(exited) != 0; }));
    return take_kinds();
  }

  kinds take_kinds() {
    kinds all;
    for (const seen_event& event : take()) {
      all.push_back(event.kind);
    }
    return all;
  }

private:
  std::mutex mutex_;
  std::vector<seen_event> events_;
};

/// A recorder that sees all from now on.
inline recorder& record() {
  auto* const events = new recorder; // as long as the hook
  add_audit_hook([events](const audit_event& event) { events->add(event); });
  events->take();
  return *events;
}

struct veto : std::runtime_error {
  veto() : std::runtime_error("not this one") {}
};

/// A child that does nothing.
inline command quiet() { return steps({}); }

struct start_form {
  const char* name;
  std::function<void(const command&)> start;
};

inline void async_forms(std::vector<start_form>& ways) {
  const auto rethrow = [](const std::exception_ptr& error) {
    if (error) {
      std::rethrow_exception(error);
    }
  };
  ways.push_back({"async_spawn", [rethrow](const command& cmd) {
                    asio::io_context context;
                    std::exception_ptr error;
                    async_spawn(context, cmd, [&error](std::exception_ptr e, process child) {
                      error = std::move(e);
                      if (!error) {
                        const auto keep = std::make_shared<process>(std::move(child));
                        keep->async_wait([keep](error_code, exit_status) {});
                      }
                    });
                    context.run();
                    rethrow(error);
                  }});
  ways.push_back({"async_run", [rethrow](const command& cmd) {
                    asio::io_context context;
                    std::exception_ptr error;
                    async_run(context, cmd, [&error](std::exception_ptr e, completed_process) {
                      error = std::move(e);
                    });
                    context.run();
                    rethrow(error);
                  }});
  ways.push_back({"pool", [rethrow](const command& cmd) {
                    asio::io_context context;
                    std::exception_ptr error;
                    bool given = false;
                    pool jobs(
                        context, {},
                        [&](command& next) {
                          next = cmd;
                          return std::exchange(given, true) ? next_command::end
                                                            : next_command::ready;
                        },
                        [&error](pool_result result) { error = std::move(result.error); });
                    jobs.async_run([](std::exception_ptr, pool_summary) {});
                    context.run();
                    rethrow(error);
                  }});
}

/// Every way to start a command; each waits for the end of it.
inline std::vector<start_form> all_ways() {
  std::vector<start_form> ways{{"run", [](const command& cmd) { run(cmd); }},
                               {"process", [](const command& cmd) {
                                  asio::io_context context;
                                  process(context, cmd).wait();
                                }}};
  async_forms(ways);
  return ways;
}

} // namespace subproc::test
