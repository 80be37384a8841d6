#pragma once

#include "capture.hpp"

#include <subproc/detail/core.hpp>
#include <subproc/error.hpp>
#include <subproc/result.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace subproc::detail {

/// What communicate decides, without doing any of it: feed stdin while both outputs are drained,
/// then the exit; a deadline, a drain bound, a cancellation. A driver looks at what is wanted, does
/// it in its way (on a loop, or with poll), and tells what happened, until done(). The state
/// outlives a call that ended early: the next one goes on from there, and no byte is lost.
class communicate_machine {
public:
  struct setup {
    bool in = false;
    bool out = false;
    bool err = false;
    capture_limit limit{};
    std::optional<duration> drain_timeout{};
  };

  explicit communicate_machine(const setup& streams);

  /// A new call. Fails without any effect when the capture was taken, or when there is input for a
  /// stdin that is not piped or that was fed before.
  error_code begin(std::string input, steady_clock::time_point deadline);

  bool done() const noexcept { return done_; }
  error_code outcome() const noexcept { return outcome_; }

  // What is wanted now.
  std::string_view to_write() const noexcept; ///< not empty: write this
  bool wants_close_in() const noexcept;
  bool wants_read(stream_id stream) const noexcept;
  bool wants_exit() const noexcept { return !done_ && !exited_; }
  /// When timer() is due; time_point::max() for never.
  steady_clock::time_point wakes_at() const noexcept;
  /// Before it gives up at a deadline the machine wants to know what is true now: look for the
  /// exit, read each wanted stream until nothing is there, then call swept().
  bool wants_sweep() const noexcept { return !done_ && sweeping_; }

  // What happened.
  void wrote(std::size_t bytes) noexcept;
  void write_failed(error_code ec) noexcept;
  void closed_in() noexcept;
  void received(stream_id stream, std::string_view data);
  void ended(stream_id stream) noexcept;
  void read_failed(stream_id stream, error_code ec) noexcept;
  void exited(exit_status status, steady_clock::time_point now) noexcept;
  void timer(steady_clock::time_point now) noexcept;
  void scope_ended() noexcept; ///< after a stop: whoever still holds a pipe is not waited for
  void swept() noexcept;
  void cancel() noexcept { finish(asio::error::operation_aborted); }
  /// There was no room for the next bytes, which are still in the pipe.
  void out_of_memory() noexcept { finish(make_error_code(std::errc::not_enough_memory)); }

  void make_room(stream_id stream, std::size_t size) { output(stream).kept.make_room(size); }

  /// Bytes that a stream has given so far.
  std::uint64_t received(stream_id stream) const noexcept { return output(stream).kept.received(); }

  /// What is held, without giving it up.
  std::string_view view(stream_id stream) { return output(stream).kept.view(); }

  /// The result of a call that is done: moves the capture out after a success, else tells how much
  /// is held.
  communicate_result take();

  /// Moves the capture out whatever the outcome was.
  communicate_result take_all();

private:
  struct output_stream {
    bool piped = false;
    bool open = false;
    capture kept;
  };

  output_stream& output(stream_id stream) noexcept { return outputs_[stream == stream_id::err]; }
  const output_stream& output(stream_id stream) const noexcept {
    return outputs_[stream == stream_id::err];
  }
  bool any_open() const noexcept { return outputs_[0].open || outputs_[1].open; }
  void check_end() noexcept;
  void finish(error_code ec) noexcept;
  communicate_result summary() const;

  std::array<output_stream, 2> outputs_;
  bool in_piped_;
  bool in_open_;
  bool input_given_ = false;
  std::string input_;
  std::size_t input_done_ = 0;
  std::optional<duration> drain_timeout_;
  steady_clock::time_point deadline_ = steady_clock::time_point::max();
  steady_clock::time_point drain_until_ = steady_clock::time_point::max();
  exit_status status_;
  bool exited_ = false;
  bool sweeping_ = false;
  bool drain_over_ = false;
  bool pipes_held_ = false;
  bool ended_ = false;
  bool limit_told_ = false; ///< errc::output_limit is told once: the next call returns all
  bool taken_ = false;
  bool done_ = true;
  error_code outcome_;
};

} // namespace subproc::detail
