#pragma once

#include <subproc/detail/any_handler.hpp>
#include <subproc/detail/asio.hpp>
#include <subproc/detail/core.hpp>
#include <subproc/detail/export.hpp>
#include <subproc/for_each.hpp>
#include <subproc/pool.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace SUBPROC_NAMESPACE {

namespace detail {

class result_queue;
using result_handler = any_handler<void(std::exception_ptr, std::optional<pool_result>)>;

SUBPROC_API std::shared_ptr<result_queue> make_result_queue(const asio::any_io_executor& executor,
                                                            const pool_options& options);
/// What a pool gives goes into the queue, and its source is held back while that is full.
SUBPROC_API void put_result(const std::shared_ptr<result_queue>& queue, pool_result result);
SUBPROC_API bool has_room(const std::shared_ptr<result_queue>& queue);
SUBPROC_API void feed(const std::shared_ptr<result_queue>& queue, std::shared_ptr<pool_core> core);
SUBPROC_API void async_next(const std::shared_ptr<result_queue>& queue,
                            asio::cancellation_slot slot, result_handler handler);
SUBPROC_API void close(const std::shared_ptr<result_queue>& queue) noexcept;

/// A source that waits for room in the queue.
template <class Commands>
class held_source {
public:
  held_source(std::shared_ptr<result_queue> queue, Commands from)
      : queue_(std::move(queue)), from_(source(std::move(from))) {}

  next_command operator()(command& next) {
    return has_room(queue_) ? from_(next) : next_command::later;
  }

  void on_ready(const pool_waker& waker) {
    if constexpr (waking_source<Commands>) {
      from_.on_ready(waker);
    }
  }

private:
  static auto source(Commands from) {
    if constexpr (waking_source<Commands>) {
      return from;
    } else {
      return source_of(std::move(from));
    }
  }

  std::shared_ptr<result_queue> queue_;
  decltype(source(std::declval<Commands>())) from_;
};

} // namespace detail

/// The results of the commands of a range or a source, taken one by one as they come:
///
///     subproc::result_stream results(executor, commands, {.concurrency = 8});
///     while (auto result = co_await results.async_next(asio::use_awaitable)) { … }
///
/// Nothing starts before the first call, nor while as many results as may run at once wait to be
/// taken. Destroying it kills what runs.
/// Thread safety: for one thread at a time, any; the pool's work goes on at the executor.
class result_stream {
public:
  using executor_type = asio::any_io_executor;

  /// As async_for_each takes them. Throws spawn_error for a number in `options` that means nothing.
  template <detail::commands Commands>
  result_stream(const executor_type& executor, Commands commands, pool_options options = {})
      : executor_(executor), queue_(detail::make_result_queue(executor, options)) {
    detail::feed(queue_,
                 detail::pool_over(executor, std::move(options),
                                   detail::held_source<Commands>(queue_, std::move(commands)),
                                   [queue = queue_](pool_result result) {
                                     detail::put_result(queue, std::move(result));
                                   }));
  }
  template <detail::execution_context Context, detail::commands Commands>
  result_stream(Context& context, Commands commands, pool_options options = {})
      : result_stream(executor_type(context.get_executor()), std::move(commands),
                      std::move(options)) {}

  result_stream(result_stream&&) noexcept = default;
  result_stream& operator=(result_stream&& other) noexcept {
    result_stream(std::move(other)).queue_.swap(queue_);
    return *this;
  }
  ~result_stream() {
    if (queue_) {
      detail::close(queue_);
    }
  }

  executor_type get_executor() const noexcept { return executor_; }

  /// The next result, or nothing at the end.
  /**
   * @par Completion signature
   * @code void(std::exception_ptr error, std::optional<pool_result> result) @endcode
   * @par Errors an exception of the range, after the results before it; a system_error with
   * errc::operation_pending while another call is under way, asio::error::operation_aborted when
   * cancelled.
   * @par Per-operation cancellation terminal, partial, total: the call alone; no result is lost.
   * @par Executor the handler's, else the stream's; never called from inside this function.
   */
  template <asio::completion_token_for<void(std::exception_ptr, std::optional<pool_result>)> Token>
  auto async_next(Token&& token) {
    return asio::async_initiate<Token, void(std::exception_ptr, std::optional<pool_result>)>(
        detail::initiation(
            executor_,
            [queue = queue_](auto&& handler, asio::cancellation_slot slot, const auto& ex) {
              detail::async_next(queue, slot, {std::forward<decltype(handler)>(handler), ex});
            }),
        token);
  }

private:
  executor_type executor_;
  std::shared_ptr<detail::result_queue> queue_;
};

} // namespace subproc
