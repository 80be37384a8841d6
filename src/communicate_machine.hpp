#pragma once

#include "capture.hpp"

#include <subproc/detail/core.hpp>
#include <subproc/error.hpp>
#include <subproc/result.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

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
    bool out_teed = false;
    bool err_teed = false;
    bool ordered = false;
    capture_limit limit{};
    std::optional<duration> drain_timeout{};
    std::optional<duration> inactivity_timeout{};
    steady_clock::time_point started{};
  };

  explicit communicate_machine(const setup& streams);

  /// A new call. Fails without any effect when the capture was taken, or when there is input for a
  /// stdin that is not piped or that was fed before. `last`: no other call will follow, so that at
  /// the deadline a child whose end and output are there is a success, whatever a sink still lacks.
  error_code begin(std::string input, steady_clock::time_point deadline, bool last = false);

  /// The call that ended by time or over a limit goes on while the scope is stopped: without
  /// deadlines, and what is beyond the limit is dropped. False after any other end.
  bool begin_drain();

  bool done() const noexcept { return done_; }
  error_code outcome() const noexcept { return outcome_; }

  // What is wanted now.
  std::string_view to_write() const noexcept; ///< not empty: write this
  bool wants_close_in() const noexcept;
  bool wants_read(stream_id stream) const noexcept;
  /// Not empty: write this to the stream's sink. Also in a call that is done, if that is possible
  /// at once.
  std::string_view to_pass(stream_id stream) const noexcept;
  bool wants_exit() const noexcept { return !done_ && !exited_; }
  /// When timer() is due; time_point::max() for never.
  steady_clock::time_point wakes_at() const noexcept;
  /// Before it gives up at a deadline the machine wants to know what is true now: look for the
  /// exit, read each wanted stream until nothing is there, then call swept().
  bool wants_sweep() const noexcept { return !done_ && sweeping_; }
  /// In that sweep also what a child that lives has written counts.
  bool wants_activity() const noexcept { return quiet_limit_.has_value(); }
  /// tell_time() is wanted before received(), wrote(), passed() and begin().
  bool wants_time() const noexcept { return ordered_ || quiet_limit_; }

  // What happened.
  void tell_time(steady_clock::time_point now) noexcept { now_ = now; }
  void wrote(std::size_t bytes) noexcept;
  void write_failed(error_code ec) noexcept;
  void closed_in() noexcept;
  void received(stream_id stream, std::string_view data);
  void ended(stream_id stream) noexcept;
  void read_failed(stream_id stream, error_code ec) noexcept;
  void passed(stream_id stream, std::size_t bytes) noexcept;
  void pass_failed(stream_id stream, error_code ec) noexcept;
  void exited(exit_status status, steady_clock::time_point now) noexcept;
  void timer(steady_clock::time_point now) noexcept;
  void scope_ended() noexcept; ///< after a stop: nobody who holds a pipe or a sink is waited for
  void swept() noexcept;
  void cancel() noexcept { finish(asio::error::operation_aborted); }
  /// There was no room for the next bytes, which are still in the pipe.
  void out_of_memory() noexcept { finish(detail::generic_error(std::errc::not_enough_memory)); }

  void make_room(stream_id stream, std::size_t size);

  /// Bytes that a stream has given so far.
  std::uint64_t received(stream_id stream) const noexcept { return output(stream).kept.received(); }

  /// What is held, without giving it up.
  std::string_view view(stream_id stream) { return output(stream).kept.view(); }

  const std::vector<output_piece>& pieces() const noexcept { return pieces_; }

  /// The result of a call that is done: moves the capture out after a success, else tells how much
  /// is held.
  communicate_result take();

  /// Moves the capture out whatever the outcome was.
  communicate_result take_all();

private:
  struct output_state {
    bool piped = false;
    bool open = false;
    bool teed = false;
    capture kept;
    std::string to_pass; ///< what was captured and not yet passed on, after the first `passed`
    std::size_t passed = 0;
    error_code tee_error;
  };

  output_state& output(stream_id stream) noexcept { return outputs_[stream == stream_id::err]; }
  const output_state& output(stream_id stream) const noexcept {
    return outputs_[stream == stream_id::err];
  }
  bool any_open() const noexcept { return outputs_[0].open || outputs_[1].open; }
  bool passing() const noexcept;
  bool too_quiet() const noexcept;
  void active() noexcept;
  void add_piece(stream_id stream, std::uint64_t offset, std::size_t size);
  void give_up_passing(error_code ec) noexcept;
  void check_end() noexcept;
  void finish(error_code ec) noexcept;
  communicate_result summary() const;

  std::array<output_state, 2> outputs_;
  bool in_piped_;
  bool in_open_;
  bool input_given_ = false;
  std::string input_;
  std::size_t input_done_ = 0;
  std::optional<duration> drain_timeout_;
  steady_clock::time_point deadline_ = steady_clock::time_point::max();
  steady_clock::time_point drain_until_ = steady_clock::time_point::max();
  std::optional<duration> quiet_limit_;
  steady_clock::time_point active_at_{};
  steady_clock::time_point quiet_wake_ = steady_clock::time_point::max();
  steady_clock::time_point now_{};
  steady_clock::time_point started_;
  std::vector<output_piece> pieces_;
  exit_status status_;
  bool ordered_;
  bool last_ = false;
  bool exited_ = false;
  bool sweeping_ = false;
  bool drain_over_ = false;
  bool scope_over_ = false;
  bool pipes_held_ = false;
  bool ended_ = false;
  bool limit_told_ = false; ///< errc::output_limit is told once: the next call returns all
  bool taken_ = false;
  bool done_ = true;
  error_code outcome_;
};

} // namespace subproc::detail
