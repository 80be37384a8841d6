// Reading by lines: one text at a time, and whole streams. What was read and not handed out stays
// in the pipe end's read-ahead, whatever ends an operation, so that nothing can be lost.

#include "process_core.hpp"

#include "process_core_timer.hpp"

#include <new>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::array<stream_id, 2> outputs{stream_id::out, stream_id::err};

// A request that could never be answered.
error_code refused(const text_request& wanted) noexcept {
  const bool wrong =
      wanted.delimiter.empty() || (wanted.kind == text_kind::piece && wanted.limit == 0);
  return wrong ? detail::generic_error(std::errc::invalid_argument) : error_code();
}

error_code take_text(read_ahead& ahead, const text_request& wanted, const found_text& found,
                     line_piece& piece) noexcept {
  try {
    if (!found.ec) {
      ahead.take(found, piece.text);
      piece.goes_on = found.goes_on;
    } else if (found.ec == asio::error::eof && wanted.kind == text_kind::until) {
      piece.text = ahead.view(); // a copy: tokens that throw drop it
    }
    return found.ec;
  } catch (const std::bad_alloc&) {
    return detail::generic_error(std::errc::not_enough_memory);
  }
}

} // namespace

// Reads until there is an answer, up to a turn. Nothing: it has to be waited for more.
std::optional<found_text> process_core::look_for(pipe_end& pipe, const text_request& wanted,
                                                 bool& ended) {
  for (std::size_t done = 0;;) {
    try {
      const auto found = pipe.ahead.find(wanted, ended);
      if (found || done >= turn) {
        return found;
      }
      pipe.ahead.make_room(small_read);
    } catch (const std::bad_alloc&) {
      return found_text{detail::generic_error(std::errc::not_enough_memory)};
    }
    const std::span<char> buffer = scratch(small_read);
    error_code ec;
    const std::size_t n = read_some(pipe.handle.get(), buffer.data(), buffer.size(), ec);
    if (ec == asio::error::would_block) {
      pipe.ahead.trim();
      return std::nullopt;
    }
    ended = ec == asio::error::eof;
    if (ec && !ended) {
      return found_text{ec};
    }
    pipe.ahead.append({buffer.data(), n});
    done += n;
  }
}

void process_core::async_text(stream_id stream, text_request wanted, asio::cancellation_slot slot,
                              text_handler handler) {
  const lock held(mutex_);
  error_code ec;
  if (!user_may_use(stream, ec)) {
    handler.complete(ec, {});
    return;
  }
  const std::uint64_t id = ++last_id_;
  end(stream).user = {nullptr, 0, {}, id, std::move(wanted), std::move(handler)};
  on_cancel(slot, [stream, id](process_core& self) { self.cancel_user_io(stream, id); });
  watch_pipe(stream);
}

bool process_core::try_text(stream_id stream, const text_request& wanted, error_code& ec,
                            line_piece& piece) {
  pipe_end& pipe = end(stream);
  bool ended = false;
  const auto found = look_for(pipe, wanted, ended);
  if (found) {
    ec = take_text(pipe.ahead, wanted, *found, piece);
  }
  return found.has_value();
}

bool process_core::text_now(stream_id stream, const text_request& wanted, error_code& ec,
                            line_piece& piece) {
  const lock held(mutex_);
  ec = refused(wanted);
  return ec || !user_may_use(stream, ec) || try_text(stream, wanted, ec, piece);
}

line_piece process_core::text(stream_id stream, const text_request& wanted, error_code& ec) {
  line_piece piece;
  lock held(mutex_);
  ec = refused(wanted);
  while (!ec && user_may_use(stream, ec) && !try_text(stream, wanted, ec, piece)) {
    wait_entry entry{end(stream).handle.get()};
    wait_blocking(held, {&entry, 1}, steady_clock::time_point::max());
  }
  return piece;
}

std::string_view process_core::buffered(stream_id stream) noexcept {
  const lock held(mutex_);
  return streams_ ? end(stream).ahead.view() : std::string_view();
}

void process_core::open_lines(const line_source_ptr& lines, stream_id first, stream_id last,
                              asio::cancellation_slot slot) {
  const lock held(mutex_);
  lines->core = shared_from_this();
  error_code ec = refused(lines->wanted);
  bool any = false;
  for (const stream_id stream : outputs) {
    if (ec || stream < first || stream > last) {
      continue;
    }
    lines->of(stream).open = user_may_use(stream, ec);
    any = any || lines->of(stream).open;
    if (ec == asio::error::bad_descriptor) {
      ec = {};
    }
  }
  if (ec || !any) {
    lines->end = ec ? ec : error_code(asio::error::bad_descriptor);
    return;
  }
  for (const stream_id stream : outputs) {
    if (lines->of(stream).open) {
      end(stream).lines = lines;
    }
  }
  on_cancel(slot, [weak = std::weak_ptr(lines)](process_core& self) {
    if (const line_source_ptr same = weak.lock()) {
      self.end_lines(same);
    }
  });
}

void process_core::wait_for_lines(const line_source_ptr& lines, lines_handler handler) {
  const lock held(mutex_);
  if (lines->end || advance(lines)) {
    handler.complete();
  } else {
    lines->waiting = std::move(handler);
  }
}

// Whether something can be handed out, or it is over; else all its streams are watched.
bool process_core::advance(const line_source_ptr& lines) {
  bool ready = false;
  for (const stream_id stream : outputs) {
    line_source::part& part = lines->of(stream);
    if (!part.open) {
      continue;
    }
    const auto found = look_for(end(stream), lines->wanted, part.ended);
    if (!found) {
      watch_pipe(stream);
    } else if (found->ec && !part.ended && found->ec != asio::error::not_found) {
      finish_lines(lines, found->ec);
      return true;
    } else {
      ready = true;
    }
  }
  return ready;
}

void process_core::lines_woken(line_source_ptr lines, error_code ec) {
  if (ec) {
    finish_lines(lines, ec); // the loop cannot watch it
  } else if (lines->waiting && advance(lines) && lines->waiting) {
    std::exchange(lines->waiting, {}).complete();
  }
}

std::optional<taken_line> process_core::take_line(const line_source_ptr& lines) {
  const lock held(mutex_);
  if (lines->end) {
    return std::nullopt;
  }
  bool any_open = false;
  for (const stream_id stream : outputs) {
    line_source::part& part = lines->of(stream);
    const auto found = part.open ? end(stream).ahead.find(lines->wanted, part.ended) : std::nullopt;
    if (found && !found->ec) {
      end(stream).ahead.take(*found, lines->line);
      return taken_line{stream, lines->line, found->goes_on};
    }
    if (found && found->ec != asio::error::eof) {
      finish_lines(lines, found->ec);
      return std::nullopt;
    }
    part.open = part.open && !found;
    any_open = any_open || part.open;
  }
  if (!any_open) {
    finish_lines(lines, {});
  }
  return std::nullopt;
}

std::optional<error_code> process_core::end_of_lines(const line_source& lines) noexcept {
  const lock held(mutex_);
  return lines.end;
}

void process_core::end_lines(const line_source_ptr& lines) noexcept {
  const lock held(mutex_);
  finish_lines(lines, asio::error::operation_aborted);
}

// By value: a pipe end may hold the one that was given.
void process_core::finish_lines(line_source_ptr lines, error_code ec) noexcept {
  if (lines->end) {
    return;
  }
  lines->end = ec;
  for (pipe_end& pipe : pipes()) {
    if (pipe.lines == lines) {
      cancel_watch(pipe.waiting);
      pipe.lines.reset();
    }
  }
  if (lines->waiting) {
    std::exchange(lines->waiting, {}).complete();
  }
}

line_source_ptr open_lines(const core_ptr& core, stream_id first, stream_id last,
                           text_request wanted, asio::cancellation_slot slot) {
  auto lines = std::make_shared<line_source>();
  lines->wanted = std::move(wanted);
  if (!core) {
    lines->end = asio::error::bad_descriptor;
    return lines;
  }
  core->open_lines(lines, first, last, slot);
  // What the caller gets ends the operation when it goes; the core's own pointers do not.
  line_source* const what = lines.get();
  return {what, [own = std::move(lines)](line_source*) { close_lines(own); }};
}

void wait_for_lines(const line_source_ptr& lines, lines_handler handler) {
  if (lines->core) {
    lines->core->wait_for_lines(lines->shared_from_this(), std::move(handler));
  } else {
    handler.complete();
  }
}

std::optional<taken_line> take_line(const line_source_ptr& lines) {
  return lines->core ? lines->core->take_line(lines->shared_from_this()) : std::nullopt;
}

std::optional<error_code> end_of_lines(const line_source_ptr& lines) noexcept {
  return lines->core ? lines->core->end_of_lines(*lines) : lines->end;
}

void close_lines(const line_source_ptr& lines) noexcept {
  if (lines->core) {
    lines->core->end_lines(lines->shared_from_this());
  }
}

} // namespace subproc::detail
