// Pipes of a process object and the two drivers of communicate: on the loop, and blocking. Both
// only carry out what the machine wants and tell it what happened.

#include "process_core.hpp"

#include "process_core_timer.hpp"

#include <algorithm>
#include <memory>
#include <new>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::size_t large_read = 1024 * 1024;
constexpr std::size_t large_capture = 512 * 1024;
constexpr std::size_t sweep_most = 64 * 1024 * 1024;

} // namespace

void process_core::watch_pipe(stream_id stream) {
  pipe_end& pipe = end(stream);
  if (pipe.waiting.armed) {
    return;
  }
  pipe.waiting.armed = true;
  pipe.waiting.ready.async_wait(
      executor_, pipe.handle.get(), stream == stream_id::in,
      [self = shared_from_this(), stream, generation = ++pipe.waiting.generation](error_code ec) {
        self->pipe_woken(stream, generation, ec);
      });
}

void process_core::pipe_woken(stream_id stream, std::uint64_t generation, error_code ec) {
  const lock held(mutex_);
  pipe_end& pipe = end(stream);
  if (generation != pipe.waiting.generation || !pipe.waiting.armed) {
    return;
  }
  pipe.waiting.armed = false;
  if (pipe.user.pending()) {
    if (ec) {
      end_user_io(pipe, ec); // the loop cannot watch it
    } else {
      go_on_with_user_io(stream);
    }
    return;
  }
  if (pipe.lines) {
    lines_woken(pipe.lines, ec);
    return;
  }
  if (!communicate_handler_) {
    return;
  }
  if (stream == stream_id::in) {
    if (ec) {
      communicate_->write_failed(ec);
    } else {
      feed();
    }
  } else if (ec) {
    communicate_->read_failed(stream, ec);
  } else if (communicate_->wants_read(stream)) {
    drain(stream, turn);
  }
  pump();
}

void process_core::close_end(pipe_end& pipe) noexcept {
  if (!pipe.handle) {
    return;
  }
  cancel_watch(pipe.waiting);
  end_user_io(pipe, asio::error::operation_aborted);
  pipe.waiting.ready.reset();
  pipe.handle.reset();
  pipe.ahead.clear();
}

void process_core::close_all_pipes() noexcept {
  for (pipe_end& pipe : pipes()) {
    close_end(pipe);
  }
  close_sinks();
}

bool process_core::is_open(stream_id stream) noexcept {
  const lock held(mutex_);
  return has(stream);
}

native_handle_type process_core::handle(stream_id stream) noexcept {
  const lock held(mutex_);
  return has(stream) ? end(stream).handle.get() : invalid_handle;
}

unique_handle process_core::release_stream(stream_id stream) noexcept {
  const lock held(mutex_);
  if (communicating() || !has(stream)) {
    return {};
  }
  pipe_end& pipe = end(stream);
  unique_handle given(pipe.handle.release());
  cancel_watch(pipe.waiting);
  pipe.waiting.ready.reset();
  end_user_io(pipe, asio::error::operation_aborted);
  return given;
}

void process_core::close_stream(stream_id stream) noexcept {
  const lock held(mutex_);
  if (!communicating() && has(stream)) {
    close_end(end(stream));
  }
}

void process_core::cancel_stream(stream_id stream) noexcept {
  const lock held(mutex_);
  if (has(stream) && end(stream).busy()) {
    cancel_watch(end(stream).waiting);
    end_user_io(end(stream), asio::error::operation_aborted);
  }
}

bool process_core::user_may_use(stream_id stream, error_code& ec) noexcept {
  ec = {};
  if (!has(stream)) {
    ec = asio::error::bad_descriptor;
  } else if (end(stream).busy() || communicating()) {
    ec = make_error_code(errc::operation_pending);
  }
  return !ec;
}

void process_core::async_io(stream_id stream, void* data, std::size_t size,
                            asio::cancellation_slot slot, io_handler handler) {
  const lock held(mutex_);
  error_code ec;
  if (!user_may_use(stream, ec)) {
    handler.complete(ec, 0);
    return;
  }
  const std::uint64_t id = ++last_id_;
  end(stream).user = {data, size, std::move(handler), id};
  on_cancel(slot, [stream, id](process_core& self) { self.cancel_user_io(stream, id); });
  watch_pipe(stream);
}

void process_core::cancel_user_io(stream_id stream, std::uint64_t id) {
  const lock held(mutex_);
  pipe_end& pipe = end(stream);
  if (pipe.user.pending() && pipe.user.id == id) {
    cancel_watch(pipe.waiting);
    end_user_io(pipe, asio::error::operation_aborted);
  }
}

bool process_core::try_io(stream_id stream, void* data, std::size_t size, error_code& ec,
                          std::size_t& n) noexcept {
  pipe_end& pipe = end(stream);
  n = stream == stream_id::in ? write_some(pipe.handle.get(), data, size, ec)
                              : read_pipe(pipe, data, size, ec);
  return ec != asio::error::would_block;
}

void process_core::go_on_with_user_io(stream_id stream) {
  user_io& user = end(stream).user;
  error_code ec;
  if (user.on_text) {
    line_piece piece;
    if (try_text(stream, user.wanted, ec, piece)) {
      std::exchange(user.on_text, {}).complete(ec, std::move(piece));
      return;
    }
  } else if (std::size_t n = 0; try_io(stream, user.data, user.size, ec, n)) {
    std::exchange(user.handler, {}).complete(ec, n);
    return;
  }
  watch_pipe(stream);
}

bool process_core::io_now(stream_id stream, void* data, std::size_t size, error_code& ec,
                          std::size_t& n) {
  const lock held(mutex_);
  n = 0;
  return !user_may_use(stream, ec) || size == 0 || try_io(stream, data, size, ec, n);
}

void process_core::end_user_io(pipe_end& pipe, error_code ec) {
  if (pipe.user.handler) {
    std::exchange(pipe.user.handler, {}).complete(ec, 0);
  }
  if (pipe.user.on_text) {
    std::exchange(pipe.user.on_text, {}).complete(ec, {});
  }
  if (pipe.lines) {
    finish_lines(pipe.lines, ec);
  }
}

// What was read ahead comes first.
std::size_t process_core::read_pipe(pipe_end& pipe, void* data, std::size_t size,
                                    error_code& ec) noexcept {
  if (pipe.ahead.empty()) {
    return read_some(pipe.handle.get(), data, size, ec);
  }
  ec = {};
  return pipe.ahead.take(data, size);
}

void process_core::hand_over_read_ahead() {
  for (const stream_id stream : {stream_id::out, stream_id::err}) {
    if (has(stream) && !end(stream).ahead.empty()) {
      communicate_->received(stream, end(stream).ahead.view());
      end(stream).ahead.clear();
    }
  }
}

std::size_t process_core::io(stream_id stream, void* data, std::size_t size, error_code& ec) {
  lock held(mutex_);
  for (;;) {
    std::size_t n = 0;
    if (!user_may_use(stream, ec) || size == 0 || try_io(stream, data, size, ec, n)) {
      return n;
    }
    wait_entry entry{end(stream).handle.get(), stream == stream_id::in};
    wait_blocking(held, {&entry, 1}, steady_clock::time_point::max());
  }
}

error_code process_core::begin_communicate(std::string input, steady_clock::time_point deadline,
                                           bool last) {
  if (!child_) {
    return make_error_code(errc::no_child);
  }
  if (communicating() || std::ranges::any_of(pipes(), &pipe_end::busy)) {
    return make_error_code(errc::operation_pending);
  }
  if (!communicate_) {
    communicate_machine::setup setup;
    setup.in = has(stream_id::in);
    setup.out = has(stream_id::out);
    setup.err = has(stream_id::err);
    setup.out_teed = streams_ && tee_of(stream_id::out).sink;
    setup.err_teed = streams_ && tee_of(stream_id::err).sink;
    setup.ordered = command_.has_ordered_output();
    setup.limit = command_.limit();
    setup.drain_timeout = command_.drain_timeout();
    setup.inactivity_timeout = command_.inactivity_timeout();
    setup.started = started_;
    communicate_ = std::make_unique<communicate_machine>(setup);
    if (input.empty() && command_.input() && has(stream_id::in)) {
      input = *command_.input();
    }
    if (report_) {
      communicate_->exited(report_->status, now());
    }
  } else {
    // Ends that the user has closed or taken since the last call are over.
    if (!has(stream_id::in)) {
      communicate_->closed_in();
    }
    for (const stream_id stream : {stream_id::out, stream_id::err}) {
      if (!has(stream)) {
        communicate_->ended(stream);
      }
    }
  }
  tell_time();
  if (const error_code ec = communicate_->begin(std::move(input), deadline, last)) {
    return ec;
  }
  hand_over_read_ahead();
  return {};
}

// A look at the clock with each read is for those who ask.
void process_core::tell_time() noexcept {
  if (communicate_->wants_time()) {
    communicate_->tell_time(now());
  }
}

// Writes what fits, up to a turn: a child that reads as fast must not hold the loop.
void process_core::feed() {
  for (std::size_t done = 0; done < turn;) {
    const std::string_view rest = communicate_->to_write().substr(0, turn - done);
    if (rest.empty()) {
      return;
    }
    error_code ec;
    const std::size_t n = write_some(end(stream_id::in).handle.get(), rest.data(), rest.size(), ec);
    if (ec == asio::error::would_block) {
      return;
    }
    if (ec) {
      communicate_->write_failed(ec);
    } else {
      tell_time();
      communicate_->wrote(n);
      done += n;
    }
  }
}

// Reads until nothing is there, up to about `most` bytes.
void process_core::drain(stream_id stream, std::size_t most) {
  for (std::size_t done = 0; done < most && communicate_->wants_read(stream);) {
    pipe_end& pipe = end(stream);
    const std::span<char> buffer = scratch(pipe.grown ? large_read : small_read);
    try {
      if (pipe.grown) { // a small capture must not take more than it holds
        communicate_->make_room(stream, buffer.size());
      }
    } catch (const std::bad_alloc&) {
      communicate_->out_of_memory();
      return;
    }
    error_code ec;
    const std::size_t n = read_some(pipe.handle.get(), buffer.data(), buffer.size(), ec);
    if (ec == asio::error::would_block) {
      return;
    }
    if (ec == asio::error::eof) {
      close_end(pipe);
      communicate_->ended(stream);
      return;
    }
    if (ec) {
      communicate_->read_failed(stream, ec);
      return;
    }
    tell_time();
    communicate_->received(stream, {buffer.data(), n});
    pass(stream);
    done += n;
    if (!pipe.grown && communicate_->received(stream) >= large_capture) {
      pipe.grown = true;
      grow_pipe(pipe.handle.get());
    }
  }
}

// Writes what the sink of a tee takes: no more than one read has brought.
void process_core::pass(stream_id stream) {
  for (;;) {
    const std::string_view rest = communicate_->to_pass(stream);
    if (rest.empty()) {
      return;
    }
    error_code ec;
    const std::size_t n = tee_of(stream).sink.write_some(rest.data(), rest.size(), ec);
    if (ec == asio::error::would_block) {
      return;
    }
    tell_time();
    if (ec) {
      communicate_->pass_failed(stream, ec);
    } else {
      communicate_->passed(stream, n);
    }
  }
}

void process_core::watch_sink(stream_id stream) {
  tee_end& tee = tee_of(stream);
  if (tee.waiting.armed) {
    return;
  }
  tee.waiting.armed = true;
  tee.waiting.ready.async_wait(
      executor_, tee.sink.event_handle(), false,
      [self = shared_from_this(), stream, generation = ++tee.waiting.generation](error_code ec) {
        self->sink_woken(stream, generation, ec);
      });
}

void process_core::sink_woken(stream_id stream, std::uint64_t generation, error_code ec) {
  const lock held(mutex_);
  tee_end& tee = tee_of(stream);
  if (generation != tee.waiting.generation || !tee.waiting.armed) {
    return;
  }
  tee.waiting.armed = false;
  if (communicate_handler_) {
    if (ec) {
      communicate_->pass_failed(stream, ec); // the loop cannot watch it
    }
    pump();
  }
}

void process_core::close_sinks() noexcept {
  for (tee_end& tee : tees()) {
    cancel_watch(tee.waiting);
    tee.waiting.ready.reset();
    tee.sink = {};
  }
}

// A child that ended before its deadline is a success, however late we look, and one that has
// written is not silent. By a manual clock what was written before is read before, too: its time
// passes at once.
void process_core::sweep() {
  const bool gone = reap();
  if (gone || clock_ || communicate_->wants_activity()) {
    feed();
    drain(stream_id::out, gone ? sweep_most : turn);
    drain(stream_id::err, gone ? sweep_most : turn);
  }
  communicate_->swept();
}

// Not where somebody sees when a byte is read, or before which other.
bool process_core::may_read_late() noexcept {
  return child_ && !report_ && !command_.has_ordered_output() && !command_.inactivity_timeout() &&
         std::ranges::none_of(tees(), [](const tee_end& tee) { return bool(tee.sink); });
}

void process_core::read_now() {
  const lock held(mutex_);
  if (std::exchange(reads_late_, false)) {
    pump_communicate();
  }
}

void process_core::step_communicate() {
  communicate_machine& machine = *communicate_;
  if (report_ && std::exchange(reads_late_, false)) {
    drain(stream_id::out, turn);
    drain(stream_id::err, turn);
  }
  if (machine.wants_sweep()) {
    sweep();
  }
  if (has(stream_id::in) && !end(stream_id::in).waiting.armed) {
    feed();
  }
  for (const stream_id stream : {stream_id::out, stream_id::err}) {
    if (streams_ && !tee_of(stream).waiting.armed) {
      pass(stream);
    }
  }
  if (machine.wants_close_in()) {
    close_end(end(stream_id::in));
    machine.closed_in();
  }
}

void process_core::pump_communicate() {
  if (!communicate_handler_) {
    return;
  }
  communicate_machine& machine = *communicate_;
  step_communicate();
  if (machine.done()) {
    reads_late_ = false;
    for (pipe_end& pipe : pipes()) {
      cancel_watch(pipe.waiting);
    }
    for (tee_end& tee : tees()) {
      cancel_watch(tee.waiting);
    }
    disarm(communicate_wake_);
    if (!machine.outcome()) {
      close_all_pipes();
    }
    std::exchange(communicate_handler_, {}).complete(machine.outcome(), machine.take());
    update_exit_watch();
    return;
  }
  if (!machine.to_write().empty()) {
    watch_pipe(stream_id::in);
  }
  for (const stream_id stream : {stream_id::out, stream_id::err}) {
    if (machine.wants_read(stream) && !reads_late_) {
      watch_pipe(stream);
    }
    if (!machine.to_pass(stream).empty()) {
      watch_sink(stream);
    }
  }
  update_exit_watch();
  set_timer(communicate_wake_, clock_, machine.wakes_at(), &process_core::communicate_timer);
}

void process_core::communicate_timer(std::uint64_t generation) {
  const lock held(mutex_);
  if (generation == communicate_wake_.generation && communicate_handler_) {
    disarm(communicate_wake_);
    communicate_->timer(now());
    pump();
  }
}

void process_core::async_communicate(std::string input, steady_clock::time_point deadline,
                                     asio::cancellation_slot slot, communicate_handler handler,
                                     bool last, bool late) {
  const lock held(mutex_);
  if (const error_code ec = begin_communicate(std::move(input), deadline, last)) {
    handler.complete(ec, communicate_ && !communicating() ? communicate_->take()
                                                          : communicate_result());
    return;
  }
  communicate_handler_ = std::move(handler);
  reads_late_ = late && may_read_late();
  const std::uint64_t id = communicate_id_ = ++last_id_;
  on_cancel(slot, [id](process_core& self) {
    const lock again(self.mutex_);
    if (self.communicate_handler_ && self.communicate_id_ == id) {
      self.communicate_->cancel();
      self.pump_communicate();
    }
  });
  pump_communicate();
}

void process_core::communicate_blocking(lock& held, stop_machine* stop) {
  communicate_machine& machine = *communicate_;
  const auto step = [&] {
    if (stop) {
      step_stop_of_run(*stop);
    }
    step_communicate();
  };
  auto pause = steady_clock::duration::zero();
  communicate_blocking_ = true;
  const struct ending {
    bool& blocking;
    ~ending() { blocking = false; }
  } over{communicate_blocking_}; // whatever is thrown
  for (step(); !machine.done(); step()) {
    std::array<wait_entry, 6> entries{};
    if (!machine.to_write().empty()) {
      entries[0] = {end(stream_id::in).handle.get(), true};
    }
    for (const stream_id stream : {stream_id::out, stream_id::err}) {
      if (machine.wants_read(stream)) {
        entries[static_cast<std::size_t>(stream)] = {end(stream).handle.get()};
      }
      if (!machine.to_pass(stream).empty()) {
        entries[3 + static_cast<std::size_t>(stream)] = {tee_of(stream).sink.handle(), true};
      }
    }
    const auto until = stop ? std::min(machine.wakes_at(), stop->wakes_at()) : machine.wakes_at();
    if (!machine.wants_exit()) {
      pause = pause.zero();
    } else if (pause == pause.zero()) {
      entries[3] = {child_->exit_handle()};
    }
    wait_blocking(held, entries, until, pause);
    if (entries[1].ready) {
      drain(stream_id::out, turn);
    }
    if (entries[2].ready) {
      drain(stream_id::err, turn);
    }
    if (machine.wants_exit() && (entries[3].ready || pause != pause.zero()) && !reap()) {
      // Ready and not reapable: look again by time, as on the loop.
      pause = std::clamp<steady_clock::duration>(2 * pause, std::chrono::milliseconds(1),
                                                 std::chrono::milliseconds(64));
    }
    if (machine.wakes_at() != steady_clock::time_point::max() && now() >= machine.wakes_at()) {
      machine.timer(now());
    }
    if (stop && now() >= stop->wakes_at()) {
      stop->timer(now());
    }
  }
  if (!machine.outcome()) {
    close_all_pipes();
  }
}

communicate_result process_core::communicate(std::string input, steady_clock::time_point deadline,
                                             const std::optional<duration>& limit) {
  lock held(mutex_);
  if (const error_code ec = begin_communicate(std::move(input), deadline, false)) {
    throw system_error(ec, "communicate");
  }
  communicate_blocking(held);
  const error_code outcome = communicate_->outcome();
  if (outcome == asio::error::timed_out || outcome == errc::inactive) {
    completed_process so_far = state();
    so_far.timed_out = true;
    so_far.inactive = outcome == errc::inactive;
    so_far.out = communicate_->view(stream_id::out);
    so_far.err = communicate_->view(stream_id::err);
    so_far.pieces = communicate_->pieces();
    const std::optional<duration>& passed = so_far.inactive ? command_.inactivity_timeout() : limit;
    throw timeout_expired(std::move(so_far), passed ? passed->seconds() : 0);
  }
  if (outcome) {
    throw system_error(outcome, "communicate");
  }
  return communicate_->take();
}

std::string_view process_core::captured(stream_id stream) {
  const lock held(mutex_);
  return communicate_ ? communicate_->view(stream) : std::string_view();
}

completed_process process_core::take_result(std::optional<communicate_result> got) {
  const lock held(mutex_);
  completed_process result = state();
  if (!got && communicate_) {
    got = communicate_->take_all();
  }
  if (got) {
    result.out = std::move(got->out);
    result.err = std::move(got->err);
    result.out_captured = got->out_captured;
    result.err_captured = got->err_captured;
    result.out_dropped = got->out_dropped;
    result.err_dropped = got->err_dropped;
    result.pipes_held = got->pipes_held;
    result.out_tee_error = got->out_tee_error;
    result.err_tee_error = got->err_tee_error;
    result.pieces = std::move(got->pieces);
  }
  return result;
}

} // namespace subproc::detail
