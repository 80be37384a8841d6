#pragma once

#include <subproc/detail/asio.hpp>
#include <subproc/detail/core.hpp>
#include <subproc/detail/export.hpp>
#include <subproc/duration.hpp>
#include <subproc/error.hpp>
#include <subproc/exit_status.hpp>
#include <subproc/process.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <ranges>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace SUBPROC_NAMESPACE {

/// Which child of a range has ended, and how.
struct ended_child {
  std::size_t index = 0;
  exit_status status;

  friend bool operator==(const ended_child&, const ended_child&) = default;
};

namespace detail {

template <class Executor>
const basic_process<Executor>& as_process(const basic_process<Executor>& child) {
  return child;
}
template <class Executor>
const basic_process<Executor>&
as_process(const std::reference_wrapper<basic_process<Executor>>& child) {
  return child;
}
template <class Pointer>
auto as_process(const Pointer& child) -> decltype(as_process(*child)) {
  return as_process(*child);
}

/// Processes, or pointers or references to such.
template <class Range>
concept process_range = std::ranges::input_range<Range> &&
    requires(std::ranges::range_reference_t<Range> child) {
  as_process(child);
};

template <class Range>
using process_executor_t = typename std::remove_cvref_t<decltype(as_process(
    *std::ranges::begin(std::declval<Range&>())))>::executor_type;

template <class T>
concept loop = executor<std::remove_cvref_t<T>> || execution_context<std::remove_cvref_t<T>>;

template <class Loop>
struct loop_traits {
  using executor_type = Loop;
};
template <execution_context Context>
struct loop_traits<Context> {
  using executor_type = typename Context::executor_type;
};

template <class Loop>
using executor_of_t = typename loop_traits<std::remove_cvref_t<Loop>>::executor_type;

template <class Loop>
executor_of_t<Loop> executor_of(Loop& where) {
  if constexpr (execution_context<Loop>) {
    return where.get_executor();
  } else {
    return where;
  }
}

template <class Range>
std::vector<core_ptr> cores_of(Range&& children) {
  std::vector<core_ptr> cores;
  for (const auto& child : children) {
    cores.push_back(as_process(child).core());
  }
  return cores;
}

template <class Range>
auto executor_of_first(Range& children) {
  const auto first = std::ranges::begin(children);
  if (first == std::ranges::end(children)) {
    throw system_error(detail::generic_error(std::errc::invalid_argument),
                       "a wait for no children has no executor, give it one");
  }
  return as_process(*first).get_executor();
}

using any_wait_handler = any_handler<void(error_code, std::size_t, exit_status)>;
using all_wait_handler = any_handler<void(error_code, std::vector<exit_status>)>;

SUBPROC_API void async_wait_any(const asio::any_io_executor& executor, std::vector<core_ptr> cores,
                                asio::cancellation_slot slot, any_wait_handler handler);
SUBPROC_API void async_wait_all(const asio::any_io_executor& executor, std::vector<core_ptr> cores,
                                asio::cancellation_slot slot, all_wait_handler handler);
SUBPROC_API std::optional<ended_child> wait_any(const std::vector<core_ptr>& cores,
                                                std::optional<duration> limit);
SUBPROC_API std::optional<std::vector<exit_status>> wait_all(const std::vector<core_ptr>& cores,
                                                             std::optional<duration> limit);

} // namespace detail

/// Waits until one of several children has ended.
/**
 * `children` is a range of processes, of pointers or of std::reference_wrapper to them. Of those
 * that have ended before the call, the first in the range counts; each call looks at all of them.
 * The handler is called exactly once; then nothing of the wait is left on any child.
 * @par Completion signature
 * @code void(error_code ec, std::size_t index, exit_status status) @endcode
 * @par Errors errc::no_child for a moved-from process, asio::error::operation_aborted for one that
 * is destroyed meanwhile, each with its index; std::errc::invalid_argument for an empty range.
 * @par Per-operation cancellation terminal, partial, total: the wait ends, no child is touched.
 * @par Executor the handler's, else `where`; never called from inside this function.
 * @par Object lifetime the range is needed during the call only; processes may be moved.
 */
template <detail::loop Loop, detail::process_range Range,
          asio::completion_token_for<void(error_code, std::size_t, exit_status)> WaitToken =
              asio::default_completion_token_t<detail::executor_of_t<Loop>>>
auto async_wait_any(
    Loop&& where, Range&& children,
    WaitToken&& token = asio::default_completion_token_t<detail::executor_of_t<Loop>>()) {
  return asio::async_initiate<WaitToken, void(error_code, std::size_t, exit_status)>(
      detail::initiation(detail::executor_of(where),
                         [](auto&& handler, asio::cancellation_slot slot, const auto& ex,
                            std::vector<detail::core_ptr> cores) {
                           detail::async_wait_any(ex, std::move(cores), slot,
                                                  {std::forward<decltype(handler)>(handler), ex});
                         }),
      token, detail::cores_of(children));
}

/// The same on the executor of the first process. An empty range, which has none, is refused: this
/// function throws system_error (std::errc::invalid_argument).
template <detail::process_range Range,
          asio::completion_token_for<void(error_code, std::size_t, exit_status)> WaitToken =
              asio::default_completion_token_t<detail::process_executor_t<Range>>>
auto async_wait_any(
    Range&& children,
    WaitToken&& token = asio::default_completion_token_t<detail::process_executor_t<Range>>()) {
  return async_wait_any(detail::executor_of_first(children), children,
                        std::forward<WaitToken>(token));
}

/// Waits until all of several children have ended.
/**
 * As async_wait_any, but an empty range completes at once, without error.
 * @par Completion signature @code void(error_code ec, std::vector<exit_status> all) @endcode
 * The statuses are in the order of the range; unknown for who has not ended.
 * @par Errors errc::no_child when a process was moved from: nothing is waited for.
 * asio::error::operation_aborted once the others have ended, when one was destroyed meanwhile.
 * @par Per-operation cancellation terminal, partial, total: the wait ends, no child is touched.
 * @par Executor the handler's, else `where`; never called from inside this function.
 * @par Object lifetime the range is needed during the call only; processes may be moved.
 */
template <detail::loop Loop, detail::process_range Range,
          asio::completion_token_for<void(error_code, std::vector<exit_status>)> WaitToken =
              asio::default_completion_token_t<detail::executor_of_t<Loop>>>
auto async_wait_all(
    Loop&& where, Range&& children,
    WaitToken&& token = asio::default_completion_token_t<detail::executor_of_t<Loop>>()) {
  return asio::async_initiate<WaitToken, void(error_code, std::vector<exit_status>)>(
      detail::initiation(detail::executor_of(where),
                         [](auto&& handler, asio::cancellation_slot slot, const auto& ex,
                            std::vector<detail::core_ptr> cores) {
                           detail::async_wait_all(ex, std::move(cores), slot,
                                                  {std::forward<decltype(handler)>(handler), ex});
                         }),
      token, detail::cores_of(children));
}

/// The same on the executor of the first process; an empty range is refused as by async_wait_any.
template <detail::process_range Range,
          asio::completion_token_for<void(error_code, std::vector<exit_status>)> WaitToken =
              asio::default_completion_token_t<detail::process_executor_t<Range>>>
auto async_wait_all(
    Range&& children,
    WaitToken&& token = asio::default_completion_token_t<detail::process_executor_t<Range>>()) {
  return async_wait_all(detail::executor_of_first(children), children,
                        std::forward<WaitToken>(token));
}

/// Waits until one of several children has ended, blocking this thread and never running a loop.
/// Throws system_error: errc::no_child for a moved-from process, std::errc::invalid_argument
/// for an empty range. Waits that are pending on a loop are no hindrance.
template <detail::process_range Range>
ended_child wait_any(Range&& children) {
  return *detail::wait_any(detail::cores_of(children), std::nullopt);
}
/// Nothing when none has ended in that time. No child is touched; 0 or less is one look.
template <detail::process_range Range>
std::optional<ended_child> wait_any(Range&& children, duration limit) {
  return detail::wait_any(detail::cores_of(children), limit);
}

/// Waits until all of several children have ended, as wait_any; of an empty range they have.
template <detail::process_range Range>
std::vector<exit_status> wait_all(Range&& children) {
  return *detail::wait_all(detail::cores_of(children), std::nullopt);
}
/// Nothing when some have not ended in that time.
template <detail::process_range Range>
std::optional<std::vector<exit_status>> wait_all(Range&& children, duration limit) {
  return detail::wait_all(detail::cores_of(children), limit);
}

} // namespace subproc
