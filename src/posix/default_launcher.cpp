#include "../launch_queue.hpp"
#include "../platform.hpp"
#include "../redirects.hpp"
#include "start_child.hpp"

#include <chrono>
#include <exception>
#include <future>
#include <thread>

namespace SUBPROC_NAMESPACE {
namespace detail {
namespace {

class local_launcher final : public launcher {
public:
  explicit local_launcher(launcher_kind only) : only_(only) {}

  launched_child start(const command& cmd) override {
    return cmd.dies_with_parent() && !on_launcher_thread() ? start_on_launcher_thread(cmd)
                                                           : start_here(cmd);
  }

private:
  // The parent-death signal comes when the thread ends that made the child, so one that never ends
  // before the process has to make it.
  launched_child start_on_launcher_thread(const command& cmd) {
    std::promise<launched_child> answer;
    launch_later([&, signals = caller_signals()] {
      try {
        if (!on_launcher_thread()) {
          throw spawn_error(detail::generic_error(std::errc::resource_unavailable_try_again),
                            spawn_step::fork, {}, "no thread can be had for die_with_parent");
        }
        launched_child started;
        const auto start = [&] { started = start_here(cmd); };
        if (cmd.signals() == signal_setup::keep) {
          signals.run(start);
        } else {
          start();
        }
        answer.set_value(std::move(started));
      } catch (...) {
        answer.set_exception(std::current_exception());
      }
    });
    return answer.get_future().get();
  }

  launched_child start_here(const command& cmd) {
    launch_plan plan(cmd);
    const scope own = scope_of(cmd);
    // A program that was just written may still be open for writing in a child of another thread
    // that has not reached its exec: busy for microseconds, unless somebody really writes it.
    for (auto pause = std::chrono::microseconds(100);; pause *= 2) {
      try {
        return start(plan, own);
      } catch (const spawn_error& error) {
        if (error.code() != std::errc::text_file_busy || pause > std::chrono::milliseconds(4)) {
          throw;
        }
        std::this_thread::sleep_for(pause);
      }
    }
  }

  launched_child start(launch_plan& plan, scope own) {
    started_child born = start_child(plan, own, only_);
    launched_child started;
    started.child = std::move(born.child);
    started.launched_by = born.launched_by;
    started.in = std::move(plan.in);
    started.out = std::move(plan.out);
    started.err = std::move(plan.err);
    return started;
  }

  launcher_kind only_;
};

} // namespace
} // namespace detail

const std::shared_ptr<launcher>& default_launcher() {
  static const auto* const instance =
      new std::shared_ptr<launcher>(std::make_shared<detail::local_launcher>(launcher_kind::none));
  return *instance;
}

std::shared_ptr<launcher> make_launcher(launcher_kind kind) {
  if (kind == launcher_kind::none) {
    return default_launcher();
  }
  if (detail::can_launch_by(kind)) {
    return std::make_shared<detail::local_launcher>(kind);
  }
  throw system_error(detail::generic_error(std::errc::function_not_supported),
                     "make_launcher: no launcher of this kind here");
}

} // namespace subproc
