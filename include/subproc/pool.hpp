#pragma once

#include <subproc/command.hpp>
#include <subproc/detail/any_handler.hpp>
#include <subproc/detail/asio.hpp>
#include <subproc/detail/core.hpp>
#include <subproc/detail/export.hpp>
#include <subproc/duration.hpp>
#include <subproc/result.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <utility>

namespace SUBPROC_NAMESPACE {

struct pool_options {
  /// Commands that run at once; 0 means one a core.
  std::size_t concurrency = 0;
  /// Results in the order of the input. How far others may run ahead of a slow one is bounded.
  bool keep_order = false;
};

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
  completed_process process;

  /// No error, and a status that the command accepts.
  bool ok() const noexcept { return !error && process.cmd.accepts(process.status); }
};

struct pool_summary {
  std::uint64_t started = 0;
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0; ///< of those started: any other end
};

namespace detail {
class pool_core;
using pool_handler = any_handler<void(std::exception_ptr, pool_summary)>;
SUBPROC_API void async_run(const std::shared_ptr<pool_core>& core, asio::cancellation_slot slot,
                           pool_handler handler);
} // namespace detail

/// Runs many commands, a bounded number at once, each as async_run would.
///
/// The source is asked for a command when there is room for one, so that an endless input costs no
/// memory, and the sink gets each result. Both are called on the executor, never at the same time;
/// an exception of either stops the pool and is what the run completes with.
/// Destroying the pool kills what runs. Thread safety: wake(), drain(), stop() and kill() may be
/// called from any thread, the rest is for one.
class SUBPROC_API pool {
public:
  using executor_type = asio::any_io_executor;
  using source = std::function<next_command(command& next)>;
  using sink = std::function<void(pool_result result)>;

  pool(const executor_type& executor, pool_options options, source from, sink to);
  template <detail::execution_context Context>
  pool(Context& context, pool_options options, source from, sink to)
      : pool(executor_type(context.get_executor()), options, std::move(from), std::move(to)) {}
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

  std::size_t running() const;

  /// Runs until the source has ended and every result was delivered. Once a pool.
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

private:
  std::shared_ptr<detail::pool_core> core_;
};

} // namespace subproc
