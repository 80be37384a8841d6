#pragma once

#include <subproc/command.hpp>
#include <subproc/detail/asio.hpp>
#include <subproc/for_each.hpp>
#include <subproc/pool.hpp>

#if defined(SUBPROC_BOOST_ASIO)
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#else
#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/co_spawn.hpp>
#include <asio/strand.hpp>
#endif

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace SUBPROC_NAMESPACE {

/// A source of commands for async_for_each and result_stream that is a coroutine: it is called when
/// there is room for one more, one call at a time, and gives a command, or nothing at the end.
///
///     async_source from(executor, [&]() -> asio::awaitable<std::optional<command>> { … });
///
/// It runs on a strand of the executor. What it throws stops the pool; a pool that is stopped
/// cancels it (terminal, which coroutines listen to by default). Thread safety: a value; copies are
/// the same source.
template <std::invocable Next>
  requires std::same_as<std::invoke_result_t<Next&>, asio::awaitable<std::optional<command>>>
class async_source {
public:
  async_source(const asio::any_io_executor& executor, Next next)
      : state_(std::make_shared<state>(executor, std::move(next))),
        guard_(std::make_shared<guard>(state_)) {}
  template <detail::execution_context Context>
  async_source(Context& context, Next next)
      : async_source(asio::any_io_executor(context.get_executor()), std::move(next)) {}

  next_command operator()(command& next) {
    std::unique_lock lock(state_->mutex);
    if (state_->error) {
      std::rethrow_exception(std::exchange(state_->error, nullptr));
    }
    if (state_->ready) {
      next = std::move(*state_->ready);
      state_->ready.reset();
      return next_command::ready;
    }
    if (state_->ended) {
      return next_command::end;
    }
    if (!std::exchange(state_->fetching, true)) {
      lock.unlock();
      fetch();
    }
    return next_command::later;
  }

  void on_ready(const pool_waker& waker) { state_->waker = waker; }

private:
  struct state {
    state(const asio::any_io_executor& executor, Next&& f)
        : strand(asio::make_strand(executor)), next(std::move(f)) {}

    asio::strand<asio::any_io_executor> strand;
    Next next;
    std::optional<pool_waker> waker{};
    asio::cancellation_signal cancel{}; ///< used on the strand
    std::mutex mutex{};
    std::optional<command> ready{};
    std::exception_ptr error{};
    bool fetching = false;
    bool ended = false;
  };

  /// Ends the call that is under way when nobody asks any more.
  struct guard {
    explicit guard(std::shared_ptr<state> of) : shared(std::move(of)) {}
    guard(const guard&) = delete;
    guard& operator=(const guard&) = delete;
    ~guard() {
      const std::lock_guard lock(shared->mutex);
      if (shared->fetching) {
        asio::post(shared->strand,
                   [s = shared] { s->cancel.emit(asio::cancellation_type::terminal); });
      }
    }

    std::shared_ptr<state> shared;
  };

  void fetch() {
    asio::co_spawn(
        state_->strand, [s = state_] { return s->next(); },
        asio::bind_cancellation_slot(state_->cancel.slot(),
                                     [s = state_, wake = state_->waker->hold()](
                                         std::exception_ptr error, std::optional<command> got) {
                                       {
                                         const std::lock_guard lock(s->mutex);
                                         s->fetching = false;
                                         s->ended = !error && !got;
                                         s->error = std::move(error);
                                         s->ready = std::move(got);
                                       }
                                       wake();
                                     }));
  }

  std::shared_ptr<state> state_;
  std::shared_ptr<guard> guard_;
};

template <class Executor, class Next>
async_source(const Executor&, Next) -> async_source<Next>;
template <detail::execution_context Context, class Next>
async_source(Context&, Next) -> async_source<Next>;

} // namespace subproc
