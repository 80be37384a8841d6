#pragma once

#include <subproc/command.hpp>
#include <subproc/detail/asio.hpp>
#include <subproc/detail/core.hpp>
#include <subproc/detail/export.hpp>
#include <subproc/pool.hpp>

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>

namespace SUBPROC_NAMESPACE {

/// Tells a pool that its source has more now. Does not keep the pool alive, but a held one does:
/// whatever is on its way to a source holds one.
class SUBPROC_API pool_waker {
public:
  explicit pool_waker(std::weak_ptr<detail::pool_core> core) noexcept : core_(std::move(core)) {}

  pool_waker hold() const {
    pool_waker held(core_);
    held.held_ = core_.lock();
    return held;
  }

  void operator()() const;

private:
  std::weak_ptr<detail::pool_core> core_;
  std::shared_ptr<detail::pool_core> held_;
};

namespace detail {

template <class Source>
concept source_function =
    std::is_invocable_r_v<next_command, Source&, command&> && std::copy_constructible<Source>;

/// What comes later, and says so by the waker it was given.
template <class Source>
concept waking_source = source_function<Source> && requires(Source& source, pool_waker waker) {
  source.on_ready(waker);
};

template <class Range>
concept command_range = std::ranges::input_range<Range> &&
    std::convertible_to<std::ranges::range_reference_t<Range>, command>;

/// Takes what a range gives, when it is asked.
template <command_range Range>
pool::source source_of(Range range) {
  struct state {
    explicit state(Range&& given) : commands(std::move(given)) {}
    Range commands;
    std::optional<std::ranges::iterator_t<Range>> at{};
  };
  return [all = std::make_shared<state>(std::move(range))](command& next) {
    if (!all->at) {
      all->at.emplace(std::ranges::begin(all->commands));
    } else {
      ++*all->at;
    }
    if (*all->at == std::ranges::end(all->commands)) {
      return next_command::end;
    }
    if constexpr (std::is_lvalue_reference_v<std::ranges::range_reference_t<Range>> &&
                  !std::is_const_v<
                      std::remove_reference_t<std::ranges::range_reference_t<Range>>> &&
                  !std::ranges::view<Range>) {
      next = std::move(**all->at); // the range is ours
    } else {
      next = **all->at;
    }
    return next_command::ready;
  };
}

template <source_function Source>
  requires(!command_range<Source>)
pool::source source_of(Source source) { return source; }

template <class Commands>
concept commands = command_range<std::decay_t<Commands>> || source_function<std::decay_t<Commands>>;

template <class Commands>
std::shared_ptr<pool_core> pool_over(const asio::any_io_executor& executor, pool_options options,
                                     Commands from, std::function<void(pool_result)> to) {
  if constexpr (waking_source<Commands>) {
    // The waker comes after the pool, which has the source: they share it.
    const auto shared = std::make_shared<Commands>(std::move(from));
    auto core = make_pool(
        executor, std::move(options), [shared](command& next) { return (*shared)(next); },
        std::move(to));
    shared->on_ready(pool_waker(core));
    return core;
  } else {
    return make_pool(executor, std::move(options), source_of(std::move(from)), std::move(to));
  }
}

} // namespace detail

/// Runs each command of a range, or of a source, in a pool of its own, and gives each result to
/// `handler(pool_result)`. The range is taken by value and walked as there is room: it may be a
/// lazy or endless one. A source is what pool takes, or has besides `on_ready(pool_waker)`, by
/// which it learns whom to wake after `later` (see async_source).
/**
 * `handler` and the range are called on the executor, never at the same time; an exception of one
 * kills what runs and is what the operation completes with.
 * @par Completion signature @code void(std::exception_ptr error, pool_summary summary) @endcode
 * @par Errors an exception of the range or the handler; a failed command is a result, not an error.
 * Throws spawn_error, which names the option, for a number in `options` that means nothing.
 * @par Per-operation cancellation terminal, partial, total: what runs is stopped as async_run
 * would; the results are delivered and the error is a system_error with
 * asio::error::operation_aborted.
 * @par Executor the handler's, else the given one; never called from inside this function.
 */
template <detail::executor Executor, detail::commands Commands, std::invocable<pool_result> Handler,
          asio::completion_token_for<void(std::exception_ptr, pool_summary)> Token =
              asio::default_completion_token_t<Executor>>
auto async_for_each(const Executor& executor, Commands commands, pool_options options,
                    Handler handler, Token&& token = asio::default_completion_token_t<Executor>()) {
  auto core = detail::pool_over(
      executor, std::move(options), std::move(commands),
      [f = std::move(handler)](pool_result result) mutable { std::invoke(f, std::move(result)); });
  return asio::async_initiate<Token, void(std::exception_ptr, pool_summary)>(
      detail::initiation(
          executor,
          [core = std::move(core)](auto&& done, asio::cancellation_slot slot, const auto& ex) {
            detail::async_run(core, slot, {std::forward<decltype(done)>(done), ex});
          }),
      token);
}

template <detail::execution_context Context, detail::commands Commands,
          std::invocable<pool_result> Handler,
          asio::completion_token_for<void(std::exception_ptr, pool_summary)> Token =
              asio::default_completion_token_t<typename Context::executor_type>>
auto async_for_each(
    Context& context, Commands commands, pool_options options, Handler handler,
    Token&& token = asio::default_completion_token_t<typename Context::executor_type>()) {
  return async_for_each(context.get_executor(), std::move(commands), std::move(options),
                        std::move(handler), std::forward<Token>(token));
}

} // namespace subproc
