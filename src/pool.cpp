#include <subproc/pool.hpp>

#include "pool_machine.hpp"
#include "run_operation.hpp"

#include <asio/strand.hpp>

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <thread>
#include <unordered_map>

namespace SUBPROC_NAMESPACE {
namespace detail {

/// Carries out what the machine wants. All of it runs on one strand.
class pool_core : public std::enable_shared_from_this<pool_core> {
public:
  pool_core(const asio::any_io_executor& executor, pool_options options, pool::source from,
            pool::sink to)
      : executor_(executor), strand_(asio::make_strand(executor)),
        machine_(options.concurrency != 0 ? options.concurrency
                                          : std::max(1U, std::thread::hardware_concurrency()),
                 options.keep_order),
        source_(std::move(from)), sink_(std::move(to)) {}

  asio::any_io_executor executor() const noexcept { return executor_; }
  std::size_t running() const noexcept { return running_now_; }

  void run(asio::cancellation_slot slot, pool_handler handler) {
    if (started_.exchange(true)) {
      const error_code twice = make_error_code(errc::operation_pending);
      handler.complete(std::make_exception_ptr(system_error(twice, "pool")), {});
      return;
    }
    if (slot.is_connected()) {
      slot.assign([weak = weak_from_this()](asio::cancellation_type type) {
        const auto self = weak.lock();
        if (self && type != asio::cancellation_type::none) {
          self->later([type](pool_core& core) { core.cancel(type); });
        }
      });
    }
    asio::post(strand_, [self = shared_from_this(), h = std::move(handler)]() mutable {
      self->handler_ = std::move(h);
      self->pump();
    });
  }

  template <class Action>
  void later(Action action) {
    asio::post(strand_, [self = shared_from_this(), action]() { action(*self); });
  }

  void wake() {
    machine_.source_ready();
    pump();
  }

  void drain() {
    machine_.source_ended();
    pump();
  }

  void stop(duration grace) {
    for_each_job([grace](run_operation& job) { job.stop(grace); });
    drain();
  }

  void kill() {
    for_each_job([](run_operation& job) { job.kill(); });
    drain();
  }

  void cancel(asio::cancellation_type type) {
    note(aborted());
    for_each_job([type](run_operation& job) { job.cancel(type); });
    drain();
  }

  /// Stops at once; the run completes with the first error.
  void fail(std::exception_ptr error) {
    note(std::move(error));
    kill();
  }

  /// The pool object goes: from now on nothing of the user's is called.
  void forget() {
    gone_ = true; // at once: results may be waiting for their turn on the strand
    later([](pool_core& core) {
      core.sink_ = nullptr;
      core.fail(aborted());
    });
  }

private:
  static std::exception_ptr aborted() {
    return std::make_exception_ptr(
        system_error(error_code(asio::error::operation_aborted), "pool"));
  }

  void note(std::exception_ptr error) {
    if (!error_) {
      error_ = std::move(error);
    }
  }

  template <class Action>
  void for_each_job(Action action) {
    for (const auto& [sequence, weak] : jobs_) {
      if (const auto job = weak.lock()) {
        action(*job);
      }
    }
  }

  // Not entered twice: a job that cannot start completes through a post.
  void pump() {
    if (!handler_) {
      return;
    }
    while (machine_.wants_command()) {
      pull();
    }
    while (const std::optional<std::uint64_t> next = machine_.take_deliverable()) {
      auto node = results_.extract(*next);
      deliver(std::move(node.mapped()));
      while (machine_.wants_command()) {
        pull();
      }
    }
    if (machine_.done()) {
      source_ = nullptr;
      sink_ = nullptr;
      std::exchange(handler_, {}).complete(error_, summary_);
    }
  }

  void pull() {
    if (gone_) {
      machine_.source_ended();
      return;
    }
    command next;
    next_command answer = next_command::end;
    try {
      answer = source_(next);
    } catch (...) {
      machine_.source_ended();
      fail_later(std::current_exception());
      return;
    }
    if (answer == next_command::end) {
      machine_.source_ended();
    } else if (answer == next_command::later) {
      machine_.source_waits();
    } else {
      start(std::move(next));
    }
  }

  void start(command next) {
    const std::uint64_t sequence = machine_.started();
    ++summary_.started;
    ++running_now_;
    auto job = std::make_shared<run_operation>(
        strand_, run_kind::run,
        run_handler(
            [self = shared_from_this(), sequence](std::exception_ptr error,
                                                  completed_process result) {
              self->finished(sequence, std::move(error), std::move(result));
            },
            asio::any_io_executor(strand_)));
    jobs_.emplace(sequence, job);
    job->start(std::move(next), {});
  }

  void finished(std::uint64_t sequence, std::exception_ptr error, completed_process result) {
    jobs_.erase(sequence);
    --running_now_;
    results_.emplace(sequence, pool_result{sequence, std::move(error), std::move(result)});
    machine_.finished(sequence);
    pump();
  }

  void deliver(pool_result result) {
    ++(result.ok() ? summary_.succeeded : summary_.failed);
    if (gone_) {
      return;
    }
    try {
      sink_(std::move(result));
    } catch (...) {
      machine_.source_ended();
      fail_later(std::current_exception());
    }
  }

  void fail_later(std::exception_ptr error) {
    note(error);
    later([error](pool_core& self) { self.fail(error); });
  }

  asio::any_io_executor executor_;
  asio::strand<asio::any_io_executor> strand_;
  pool_machine machine_;
  pool::source source_;
  pool::sink sink_;
  pool_handler handler_;
  pool_summary summary_;
  std::exception_ptr error_;
  std::atomic<bool> started_ = false;
  std::atomic<bool> gone_ = false;
  std::atomic<std::size_t> running_now_ = 0;
  std::unordered_map<std::uint64_t, std::weak_ptr<run_operation>> jobs_; ///< they own this
  std::map<std::uint64_t, pool_result> results_;
};

void async_run(const std::shared_ptr<pool_core>& core, asio::cancellation_slot slot,
               pool_handler handler) {
  core->run(slot, std::move(handler));
}

} // namespace detail

pool::pool(const executor_type& executor, pool_options options, source from, sink to)
    : core_(
          std::make_shared<detail::pool_core>(executor, options, std::move(from), std::move(to))) {}

pool& pool::operator=(pool&& other) noexcept {
  pool(std::move(other)).core_.swap(core_);
  return *this;
}

pool::~pool() {
  if (core_) {
    core_->forget();
  }
}

pool::executor_type pool::get_executor() const noexcept { return core_->executor(); }

void pool::wake() {
  core_->later([](detail::pool_core& core) { core.wake(); });
}

void pool::drain() {
  core_->later([](detail::pool_core& core) { core.drain(); });
}

void pool::stop(duration grace) {
  core_->later([grace](detail::pool_core& core) { core.stop(grace); });
}

void pool::kill() {
  core_->later([](detail::pool_core& core) { core.kill(); });
}

std::size_t pool::running() const { return core_->running(); }

} // namespace subproc
