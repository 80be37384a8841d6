#pragma once

#include <subproc/command.hpp>
#include <subproc/detail/any_handler.hpp>
#include <subproc/detail/asio.hpp>
#include <subproc/detail/core.hpp>
#include <subproc/detail/export.hpp>
#include <subproc/duration.hpp>
#include <subproc/pool_options.hpp>
#include <subproc/result.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <utility>

namespace SUBPROC_NAMESPACE {

/// What a source of commands answers.
enum class next_command {
  ready, ///< here is one
  later, ///< none now; pool::wake() will tell
  end,   ///< there are no more
};

/// The end of one command of a pool.
struct pool_result {
  /// Its place in the input, from 1.
  std::uint64_t sequence = 0;
  /// What run() would have thrown, or null.
  std::exception_ptr error;
  completed_process process; ///< of the last try
  unsigned tries = 1;        ///< 0 when it was never started

  /// No error, and a status that the command accepts.
  bool ok() const noexcept { return !error && process.cmd.accepts(process.status); }
  /// How it failed; failure_kind::none when ok().
  SUBPROC_API failure_kind why() const noexcept;
};

/// What is said of one command given to a pool.
struct job_options {
  /// Higher ones start first; what is equal in the order in which it came.
  int priority = 0;
};

namespace detail {
class pool_core;
using pool_handler = any_handler<void(std::exception_ptr, pool_summary)>;
SUBPROC_API std::shared_ptr<pool_core> make_pool(const asio::any_io_executor& executor,
                                                 pool_options options,
                                                 std::function<next_command(command&)> from,
                                                 std::function<void(pool_result)> to);
SUBPROC_API void async_run(const std::shared_ptr<pool_core>& core, asio::cancellation_slot slot,
                           pool_handler handler);
SUBPROC_API void async_submit(const std::shared_ptr<pool_core>& core, command&& cmd,
                              job_options options, asio::cancellation_slot slot,
                              run_handler handler);
SUBPROC_API void wake(const std::shared_ptr<pool_core>& core);
/// Nobody has the pool any more: what runs is killed.
SUBPROC_API void forget(const std::shared_ptr<pool_core>& core) noexcept;
} // namespace detail

/// Runs many commands, a bounded number at once, each as async_run would.
///
/// They come from a source, which is asked when there is room for one, so that an endless input
/// costs no memory, and the sink gets each result. Or they are submitted one by one, each with a
/// handler of its own; a pool may do both. Source, sink and the functions of the options are called
/// on the executor, never at the same time; an exception of one stops the pool and is what the run
/// completes with. Destroying the pool kills what runs; what was submitted then completes as
/// cancelled. Thread safety: all but the destructor and moves may be called from any thread.
class SUBPROC_API pool {
public:
  using executor_type = asio::any_io_executor;
  using source = std::function<next_command(command& next)>;
  using sink = std::function<void(pool_result result)>;

  /// Throws spawn_error, which names the option, for a number that means nothing.
  pool(const executor_type& executor, pool_options options, source from, sink to);
  template <detail::execution_context Context>
  pool(Context& context, pool_options options, source from, sink to)
      : pool(executor_type(context.get_executor()), std::move(options), std::move(from),
             std::move(to)) {}
  /// Without a source: for what is submitted.
  explicit pool(const executor_type& executor, pool_options options = {})
      : pool(executor, std::move(options), nullptr, nullptr) {}
  template <detail::execution_context Context>
  explicit pool(Context& context, pool_options options = {})
      : pool(executor_type(context.get_executor()), std::move(options)) {}
  pool(pool&&) noexcept = default;
  pool& operator=(pool&& other) noexcept;
  ~pool();

  executor_type get_executor() const noexcept;

  /// A source that said `later` has more now.
  void wake();
  /// Starts nothing more; what runs ends in its own time.
  void drain();
  /// Starts nothing more and stops what runs: SIGTERM, up to `grace`, then SIGKILL.
  void stop(duration grace);
  /// Starts nothing more and kills what runs.
  void kill();

  /// Takes nothing more from the source and nothing that is submitted; what was taken is done.
  void close();
  /// How many commands may run at once from now on; 0 means one a core. What runs goes on.
  void set_concurrency(std::size_t most);

  std::size_t running() const { return summary().running; }
  /// As it was after the last start or end.
  pool_summary summary() const;

  /// Runs until the source has ended, or without one until close(), and every result was delivered.
  /// Once a pool.
  /**
   * @par Completion signature @code void(std::exception_ptr error, pool_summary summary) @endcode
   * @par Errors an exception of the source or the sink; a failed command is a result, not an error.
   * @par Per-operation cancellation terminal, partial, total: as kill(); the results are delivered
   * and the error is a system_error with asio::error::operation_aborted.
   * @par Executor the handler's, else the pool's; never called from inside this function.
   */
  template <asio::completion_token_for<void(std::exception_ptr, pool_summary)> RunToken>
  auto async_run(RunToken&& token) {
    return asio::async_initiate<RunToken, void(std::exception_ptr, pool_summary)>(
        detail::initiation(
            get_executor(),
            [core = core_](auto&& handler, asio::cancellation_slot slot, const auto& ex) {
              detail::async_run(core, slot, {std::forward<decltype(handler)>(handler), ex});
            }),
        token);
  }

  /// Runs this command when its turn comes, whether or not async_run() was called. No result of it
  /// goes to the sink.
  /**
   * @par Completion signature @code void(std::exception_ptr error, completed_process result)
   * @endcode
   * @par Errors those of async_run for one command, after the last try;
   * operation_error with asio::error::operation_aborted when it, or the pool, was stopped.
   * @par Per-operation cancellation terminal, partial, total: while it waits it never starts; when
   * it runs, as async_run.
   * @par Executor the handler's, else the pool's; never called from inside this function.
   */
  template <asio::completion_token_for<void(std::exception_ptr, completed_process)> RunToken>
  auto async_submit(command cmd, job_options options, RunToken&& token) {
    return asio::async_initiate<RunToken, void(std::exception_ptr, completed_process)>(
        detail::initiation(get_executor(),
                           [core = core_, options](auto&& handler, asio::cancellation_slot slot,
                                                   const auto& ex, command what) {
                             detail::async_submit(core, std::move(what), options, slot,
                                                  {std::forward<decltype(handler)>(handler), ex});
                           }),
        token, std::move(cmd));
  }
  template <asio::completion_token_for<void(std::exception_ptr, completed_process)> RunToken>
  auto async_submit(command cmd, RunToken&& token) {
    return async_submit(std::move(cmd), {}, std::forward<RunToken>(token));
  }

private:
  std::shared_ptr<detail::pool_core> core_;
};

} // namespace subproc
