#pragma once

#include <subproc/process.hpp>
#include <subproc/result.hpp>

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

namespace SUBPROC_NAMESPACE {

/// What becomes of a line that is longer than the limit: it ends the reading with an error, or it
/// is handed out in pieces.
enum class long_line : unsigned char { error, pieces };

struct line_options {
  std::size_t limit = default_line_limit; ///< bytes, a line's end not counted
  long_line longer = long_line::error;

  bool operator==(const line_options&) const = default;
};

namespace detail {

template <class Function, class... Args>
concept line_handler = std::invocable<Function&, Args..., std::string_view, bool> ||
    std::invocable<Function&, Args..., std::string_view>;

/// Hands out what is there, then waits for more, until the streams have ended.
template <class OnLine, class Executor>
class line_loop {
public:
  line_loop(line_source_ptr lines, OnLine on_line, const Executor& executor)
      : lines_(std::move(lines)), on_line_(std::move(on_line)), executor_(executor) {}

  template <class Handler>
  void operator()(Handler&& handler) {
    std::exception_ptr error;
    bool over = true;
    try {
      while (const auto line = take_line(lines_)) {
        lines_taken_ += line->goes_on ? 0 : 1;
        on_line_(*line);
      }
      const std::optional<error_code> end = end_of_lines(lines_);
      over = end.has_value();
      if (over && *end) {
        throw system_error(*end, "async_for_each_line");
      }
    } catch (...) {
      error = std::current_exception();
    }
    if (!over) {
      wait(std::forward<Handler>(handler));
      return;
    }
    close_lines(lines_); // the streams are free when the handler is called
    lines_.reset();
    std::forward<Handler>(handler)(std::move(error), std::size_t(lines_taken_));
  }

  template <class Handler>
  void wait(Handler&& handler) {
    const line_source_ptr lines = lines_;
    const Executor executor = executor_;
    wait_for_lines(lines,
                   {adapted_handler{std::forward<Handler>(handler), std::move(*this)}, executor});
  }

private:
  line_source_ptr lines_;
  OnLine on_line_;
  Executor executor_;
  std::size_t lines_taken_ = 0;
};

template <class Executor, class OnLine, class LinesToken>
auto for_each_line(const Executor& executor, const core_ptr& core, stream_id first, stream_id last,
                   const line_options& options, OnLine on_line, LinesToken&& token) {
  return asio::async_initiate<LinesToken, void(std::exception_ptr, std::size_t)>(
      initiation(executor,
                 [core, first, last, options](auto&& handler, asio::cancellation_slot slot,
                                              const auto& ex, OnLine function) {
                   const auto kind =
                       options.longer == long_line::pieces ? text_kind::piece : text_kind::line;
                   line_loop loop(open_lines(core, first, last, {kind, options.limit}, slot),
                                  std::move(function), ex);
                   loop.wait(std::forward<decltype(handler)>(handler));
                 }),
      token, std::move(on_line));
}

} // namespace detail

/// Reads a stream by lines to its end and calls a function with each.
/**
 * Lines are as those of async_read_line. The end of the file is success. The function is called on
 * the completion handler's executor, with one line after the other, and nothing is read while it
 * runs: a slow one holds the child back. It gets `(std::string_view line)`, or `(std::string_view
 * line, bool goes_on)` where a line may come in pieces.
 * What it throws ends the operation. Whatever ends it, only what was handed out is gone: the rest
 * is read by the next operation.
 * @param on_line called as long as the operation lasts; the view is lent for the call.
 * @par Completion signature @code void(std::exception_ptr error, std::size_t lines) @endcode
 * `lines` were handed out, the one at which the function threw included, one in pieces counted
 * once.
 * @par Errors what the function throws; system_error with asio::error::not_found (a line is
 * longer than the limit, long_line::error), errc::operation_pending, asio::error::bad_descriptor
 * (not piped or closed), std::errc::invalid_argument (pieces of 0 bytes), any error of read(2).
 * @par Per-operation cancellation terminal, partial, total: asio::error::operation_aborted, after
 * the call of the function that may be under way. No line is lost.
 * @par Executor the handler's, else the process's; neither is called from inside this function.
 * @par Object lifetime the process object may be moved; destroying it or closing the pipe ends the
 * operation. The function may do both.
 */
template <class Executor, detail::line_handler OnLine,
          asio::completion_token_for<void(std::exception_ptr, std::size_t)> LinesToken =
              asio::default_completion_token_t<Executor>>
auto async_for_each_line(basic_readable_pipe<Executor>& pipe, OnLine on_line, line_options options,
                         LinesToken&& token = asio::default_completion_token_t<Executor>()) {
  const auto stream = detail::access::stream(pipe);
  return detail::for_each_line(
      pipe.get_executor(), detail::access::core(pipe), stream, stream, options,
      [function = std::move(on_line)](const detail::taken_line& line) mutable {
        if constexpr (std::invocable<OnLine&, std::string_view, bool>) {
          std::invoke(function, line.text, line.goes_on);
        } else {
          std::invoke(function, line.text);
        }
      },
      std::forward<LinesToken>(token));
}

template <class Executor, detail::line_handler OnLine,
          asio::completion_token_for<void(std::exception_ptr, std::size_t)> LinesToken =
              asio::default_completion_token_t<Executor>>
auto async_for_each_line(basic_readable_pipe<Executor>& pipe, OnLine on_line,
                         LinesToken&& token = asio::default_completion_token_t<Executor>()) {
  return async_for_each_line(pipe, std::move(on_line), line_options(),
                             std::forward<LinesToken>(token));
}

/// The same with both outputs of a process at once, as far as they are piped.
/**
 * The function gets the stream first: `(output_stream which, std::string_view line)`, or with
 * `bool goes_on` behind. Each stream is in its order; between the two there is none.
 * The error of one stream ends the operation.
 */
template <class Executor, detail::line_handler<output_stream> OnLine,
          asio::completion_token_for<void(std::exception_ptr, std::size_t)> LinesToken =
              asio::default_completion_token_t<Executor>>
auto async_for_each_line(basic_process<Executor>& child, OnLine on_line, line_options options,
                         LinesToken&& token = asio::default_completion_token_t<Executor>()) {
  return detail::for_each_line(
      child.get_executor(), detail::access::core(child), detail::stream_id::out,
      detail::stream_id::err, options,
      [function = std::move(on_line)](const detail::taken_line& line) mutable {
        const auto which =
            line.stream == detail::stream_id::err ? output_stream::err : output_stream::out;
        if constexpr (std::invocable<OnLine&, output_stream, std::string_view, bool>) {
          std::invoke(function, which, line.text, line.goes_on);
        } else {
          std::invoke(function, which, line.text);
        }
      },
      std::forward<LinesToken>(token));
}

template <class Executor, detail::line_handler<output_stream> OnLine,
          asio::completion_token_for<void(std::exception_ptr, std::size_t)> LinesToken =
              asio::default_completion_token_t<Executor>>
auto async_for_each_line(basic_process<Executor>& child, OnLine on_line,
                         LinesToken&& token = asio::default_completion_token_t<Executor>()) {
  return async_for_each_line(child, std::move(on_line), line_options(),
                             std::forward<LinesToken>(token));
}

} // namespace subproc
