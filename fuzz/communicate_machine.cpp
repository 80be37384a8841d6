// communicate_machine with events in any order that a driver may bring: no byte is lost or doubled,
// a call ends once and for the reason that is given, and until then something is wanted.

#include "fuzz.hpp"

#include <communicate_machine.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

namespace {

using namespace subproc;
using namespace std::chrono_literals;
using detail::communicate_machine;
using detail::stream_id;
using fuzz::choices;

constexpr auto never = steady_clock::time_point::max();

std::string kept(const std::string& all, const capture_limit& limit) {
  const std::size_t half = limit.bytes / 2;
  const auto last = [](std::string_view text, std::size_t n) {
    return std::string(text.substr(text.size() - std::min(n, text.size())));
  };
  switch (limit.policy) {
  case overflow::error:
    return all;
  case overflow::head:
    return all.substr(0, limit.bytes);
  case overflow::tail:
    return last(all, limit.bytes);
  default: {
    const std::string head = all.substr(0, limit.bytes - half);
    return head + last(std::string_view(all).substr(head.size()), half);
  }
  }
}

class driver {
public:
  explicit driver(choices& given) : given_(given) {
    setup_.in = given.flip();
    setup_.out = given.flip();
    setup_.err = given.flip();
    setup_.out_teed = setup_.out && given.flip();
    setup_.err_teed = setup_.err && given.flip();
    setup_.ordered = given.flip();
    setup_.started = now_;
    // Pieces of what is cut at its front cannot be told: a command with both is refused.
    setup_.limit = {given.below(20), static_cast<overflow>(given.below(setup_.ordered ? 2 : 4))};
    if (given.flip()) {
      setup_.drain_timeout = std::chrono::milliseconds(given.below(50));
    }
    if (given.flip()) {
      setup_.inactivity_timeout = std::chrono::milliseconds(1 + given.below(50));
    }
    machine_.emplace(setup_);
    quiet_limit_ = setup_.inactivity_timeout;
    in_open_ = setup_.in;
    open_ = {setup_.out, setup_.err};
  }

  void run() {
    check();
    while (!given_.empty() && !taken_) {
      was_done_ = machine_->done();
      const error_code before = machine_->outcome();
      allowed_ = {};
      event();
      check();
      if (was_done_ && !begun_now_) {
        HOLDS(machine_->done() && machine_->outcome() == before);
      } else if (machine_->done()) {
        HOLDS(machine_->outcome() == allowed_);
        HOLDS(machine_->outcome() || all_over());
      } else {
        HOLDS(!must_end_ && !all_over());
      }
    }
    if (!taken_) {
      finish();
    }
    const error_code again = machine_->begin({}, never);
    HOLDS(again ==
          (setup_.out || setup_.err ? make_error_code(errc::already_taken) : error_code()));
  }

private:
  bool passing() const { return !to_pass_[0].empty() || !to_pass_[1].empty(); }
  bool all_over() const { return exited_ && !in_open_ && !open_[0] && !open_[1] && !passing(); }
  bool quiet() const {
    return quiet_limit_ && !passing() && now_ >= quiet_limit_->after(active_at_);
  }
  void active() {
    machine_->tell_time(now_);
    active_at_ = now_;
  }

  void event() {
    must_end_ = begun_now_ = false;
    const std::size_t i = given_.below(2);
    switch (given_.below(20)) {
    case 0:
    case 1:
      begin();
      break;
    case 2:
      write(1 + given_.below(8));
      break;
    case 3:
      break_input(given_.flip());
      break;
    case 4:
      close_in();
      break;
    case 5:
    case 6:
      receive(i);
      break;
    case 7:
      end(i);
      break;
    case 8:
      fail_read(i);
      break;
    case 9:
      exit();
      break;
    case 10:
      now_ += std::chrono::milliseconds(given_.below(20));
      time();
      break;
    case 11:
      sweep();
      break;
    case 12:
      if (!was_done_ && exited_) {
        drain_due_ = scope_over_ = true;
      }
      machine_->scope_ended();
      HOLDS(!drain_due_ || was_done_ || machine_->wants_sweep());
      break;
    case 13:
      stop_call(i);
      break;
    case 14:
      close_between(i);
      break;
    case 15:
    case 16:
      pass(i, 1 + given_.below(16));
      break;
    case 17:
      break_sink(i);
      break;
    case 18:
      begin_drain();
      break;
    default:
      take(i == 0);
    }
  }

  void end_with(error_code ec) {
    allowed_ = ec;
    must_end_ = true;
  }

  void begin() {
    if (!was_done_) {
      return;
    }
    std::string input = given_.bytes(given_.below(10));
    const bool last = given_.flip();
    machine_->tell_time(now_);
    const bool refused = !input.empty() && (!setup_.in || input_given_);
    const auto deadline =
        given_.flip() ? now_ + std::chrono::milliseconds(given_.below(40)) - 5ms : never;
    const error_code ec = machine_->begin(input, deadline, last);
    HOLDS(ec == (refused ? make_error_code(std::errc::invalid_argument) : error_code()));
    if (refused) {
      return;
    }
    begun_now_ = begun_ = input_given_ = true;
    if (!input.empty()) {
      input_ = std::move(input);
    }
    goes_on(deadline, last);
  }

  void begin_drain() {
    if (!was_done_ || !begun_) {
      return;
    }
    const error_code ended = machine_->outcome();
    const bool may =
        ended == asio::error::timed_out || ended == errc::output_limit || ended == errc::inactive;
    if (may) {
      begun_now_ = true;
      if (setup_.limit.policy == overflow::error) {
        setup_.limit.policy = overflow::head;
      }
      quiet_limit_.reset();
    }
    HOLDS(machine_->begin_drain() == may);
    if (may) {
      goes_on(never, true);
    }
  }

  void goes_on(steady_clock::time_point deadline, bool last) {
    deadline_ = deadline;
    last_ = last;
    active_at_ = now_;
    must_end_ = all_over();
  }

  void write(std::size_t most) {
    const std::string_view some = machine_->to_write().substr(0, most);
    if (!some.empty()) {
      active();
      fed_ += some;
      machine_->wrote(some.size());
    }
  }

  void break_input(bool nobody_reads) {
    if (machine_->to_write().empty()) {
      return;
    }
    const error_code ec =
        nobody_reads ? error_code(asio::error::broken_pipe) : make_error_code(std::errc::io_error);
    input_over_ = true;
    machine_->write_failed(ec);
    if (!nobody_reads) {
      end_with(ec);
    }
  }

  void close_in() {
    if (machine_->wants_close_in()) {
      HOLDS(input_over_ || fed_ == input_);
      in_open_ = false;
      machine_->closed_in();
    }
  }

  void receive(std::size_t i) {
    if (!machine_->wants_read(stream(i))) {
      return;
    }
    const std::string data = given_.bytes(1 + given_.below(12));
    active();
    const std::size_t before = kept_of(i).size();
    says_[i] += data;
    told_.push_back({i, kept_of(i).substr(before)});
    if ((i == 0 ? setup_.out_teed : setup_.err_teed) && !sink_broken_[i]) {
      to_pass_[i] += data;
    }
    if (given_.flip()) {
      machine_->make_room(stream(i), data.size());
    }
    machine_->received(stream(i), data);
    const bool over =
        setup_.limit.policy == overflow::error && says_[i].size() > setup_.limit.bytes;
    if (over && !std::exchange(limit_told_, true)) {
      end_with(make_error_code(errc::output_limit));
    }
  }

  void pass(std::size_t i, std::size_t most) {
    const std::string_view some = machine_->to_pass(stream(i)).substr(0, most);
    if (!some.empty()) {
      active();
      to_pass_[i].erase(0, some.size());
      machine_->passed(stream(i), some.size());
    }
  }

  void break_sink(std::size_t i) {
    if (!to_pass_[i].empty()) {
      active();
      give_up(i, make_error_code(std::errc::io_error));
      machine_->pass_failed(stream(i), tee_error_[i]);
    }
  }

  void give_up(std::size_t i, error_code ec) {
    sink_broken_[i] = true;
    to_pass_[i].clear();
    tee_error_[i] = ec;
  }

  void give_up_all(std::errc why) {
    for (std::size_t i = 0; i < 2; ++i) {
      if (!to_pass_[i].empty()) {
        give_up(i, make_error_code(why));
        active_at_ = now_;
      }
    }
  }

  void end(std::size_t i) {
    if (machine_->wants_read(stream(i))) {
      open_[i] = false;
      machine_->ended(stream(i));
    }
  }

  void fail_read(std::size_t i) {
    if (machine_->wants_read(stream(i))) {
      open_[i] = false;
      end_with(make_error_code(std::errc::io_error));
      machine_->read_failed(stream(i), allowed_);
    }
  }

  void exit() {
    const auto status = exit_status::from_code(static_cast<int>(given_.below(100)));
    machine_->exited(status, now_);
    if (!exited_) {
      exited_ = status;
      input_over_ = true;
      if (setup_.drain_timeout && (open_[0] || open_[1])) {
        drain_until_ = setup_.drain_timeout->after(now_);
      }
    }
  }

  void time() {
    machine_->timer(now_);
    if (!was_done_) {
      drain_due_ = drain_due_ || now_ >= drain_until_;
      HOLDS(machine_->wants_sweep() == (drain_due_ || now_ >= deadline_ || quiet()));
    }
  }

  void sweep() {
    const bool wanted = machine_->wants_sweep();
    machine_->swept();
    HOLDS(!machine_->wants_sweep());
    if (!wanted) {
      return;
    }
    if (drain_due_) {
      held_ = held_ || open_[0] || open_[1];
      open_ = {false, false};
      drain_until_ = never;
      if (scope_over_) {
        give_up_all(std::errc::operation_canceled);
      }
    }
    if (all_over()) {
      return;
    }
    if (now_ >= deadline_) {
      if (last_ && exited_ && !open_[0] && !open_[1]) {
        give_up_all(std::errc::timed_out);
      } else if (!exited_ || open_[0] || open_[1] || passing()) {
        end_with(asio::error::timed_out);
      }
    } else if (quiet() && (!exited_ || open_[0] || open_[1])) {
      end_with(make_error_code(errc::inactive));
    }
  }

  void stop_call(std::size_t how) {
    if (!was_done_) {
      end_with(how == 0 ? error_code(asio::error::operation_aborted)
                        : make_error_code(std::errc::not_enough_memory));
    }
    if (how == 0) {
      machine_->cancel();
    } else {
      machine_->out_of_memory();
    }
  }

  // The user may close or take an end while no call is under way.
  void close_between(std::size_t i) {
    if (!was_done_ || !begun_) {
      return;
    }
    if (given_.flip()) {
      in_open_ = false;
      machine_->closed_in();
    } else {
      open_[i] = false;
      machine_->ended(stream(i));
    }
  }

  void take(bool all) {
    if (!was_done_ || !begun_) {
      return;
    }
    const bool success = !machine_->outcome() && all_over();
    communicate_result result = all ? machine_->take_all() : machine_->take();
    if (all || success) {
      check_result(result);
      taken_ = true;
      return;
    }
    HOLDS(result.out.empty() && result.err.empty());
    HOLDS(result.out_held == kept_of(0).size() && result.err_held == kept_of(1).size());
  }

  void check_result(const communicate_result& result) {
    HOLDS(result.out == kept_of(0) && result.err == kept_of(1));
    HOLDS(result.out_dropped == says_[0].size() - result.out.size());
    HOLDS(result.err_dropped == says_[1].size() - result.err.size());
    HOLDS(result.out_captured == setup_.out && result.err_captured == setup_.err);
    HOLDS(result.pipes_held == held_);
    HOLDS(result.status == exited_.value_or(exit_status()));
    for (std::size_t i = 0; i < 2; ++i) {
      HOLDS((i == 0 ? result.out_tee_error : result.err_tee_error) == tee_error_[i]);
    }
    check_pieces(result);
  }

  // Each byte that is kept is in one piece, in the order in which they came.
  void check_pieces(const communicate_result& result) {
    HOLDS(setup_.ordered || result.pieces.empty());
    std::array<std::size_t, 2> covered{};
    for (const output_piece& piece : result.pieces) {
      std::size_t& end = covered[piece.stream == output_stream::err];
      HOLDS(piece.offset == end && piece.size != 0);
      end += piece.size;
    }
    std::array<std::size_t, 2> room{result.out.size(), result.err.size()};
    std::string all;
    for (const auto& [i, data] : told_) {
      const std::string some = data.substr(0, room[i]);
      room[i] -= some.size();
      all += some;
    }
    HOLDS(!setup_.ordered || result.ordered_text() == all);
  }

  void check() {
    if (taken_) {
      return;
    }
    const bool done = machine_->done();
    for (std::size_t i = 0; i < 2; ++i) {
      HOLDS(machine_->received(stream(i)) == says_[i].size());
      HOLDS(machine_->view(stream(i)) == kept_of(i));
      HOLDS(machine_->to_pass(stream(i)) == to_pass_[i]);
      HOLDS(machine_->wants_read(stream(i)) ==
            (!done && open_[i] && (machine_->wants_sweep() || to_pass_[i].empty())));
    }
    const bool writes = !done && in_open_ && !input_over_;
    const std::string rest = input_.substr(fed_.size());
    HOLDS(machine_->to_write() == (writes ? rest : ""));
    HOLDS(machine_->wants_close_in() == (!done && in_open_ && (input_over_ || rest.empty())));
    HOLDS(machine_->wants_exit() == (!done && !exited_));
    HOLDS(!done || !machine_->wants_sweep());
    // A time of its own for quiet: early is allowed, late is not.
    const auto wakes = machine_->wakes_at();
    HOLDS(done ? wakes == never : wakes <= std::min(deadline_, drain_until_));
    HOLDS(done || quiet_limit_ || wakes == std::min(deadline_, drain_until_));
    HOLDS(done || !quiet_limit_ || passing() || wakes <= quiet_limit_->after(active_at_));
  }

  // Whatever has happened, a call without a deadline goes on from there to the result.
  void finish() {
    if (machine_->done() && (!begun_ || machine_->outcome())) {
      HOLDS(!machine_->begin({}, never));
    }
    while (!machine_->to_write().empty()) {
      write(static_cast<std::size_t>(-1));
    }
    close_in();
    machine_->exited(exit_status::from_code(7), now_);
    exited_ = exited_.value_or(exit_status::from_code(7));
    for (std::size_t i = 0; i < 2; ++i) {
      pass(i, static_cast<std::size_t>(-1));
      end(i);
    }
    HOLDS(machine_->done() && !machine_->outcome());
    HOLDS(fed_ == input_.substr(0, fed_.size()));
    check_result(machine_->take());
  }

  static stream_id stream(std::size_t i) { return i == 0 ? stream_id::out : stream_id::err; }
  std::string kept_of(std::size_t i) const { return kept(says_[i], setup_.limit); }

  choices& given_;
  communicate_machine::setup setup_;
  std::optional<communicate_machine> machine_;

  // What is true.
  std::string input_;
  std::string fed_;
  std::array<std::string, 2> says_;
  bool input_given_ = false;
  bool input_over_ = false; ///< nobody reads the rest
  bool in_open_ = false;
  std::array<bool, 2> open_{};
  std::optional<exit_status> exited_;
  steady_clock::time_point now_{1h};
  steady_clock::time_point deadline_ = never;
  steady_clock::time_point drain_until_ = never;
  std::optional<duration> quiet_limit_;
  steady_clock::time_point active_at_;
  std::array<std::string, 2> to_pass_;
  std::array<bool, 2> sink_broken_{};
  std::array<error_code, 2> tee_error_{};
  std::vector<std::pair<std::size_t, std::string>> told_; ///< what was kept, in its order
  bool last_ = false;
  bool scope_over_ = false;
  bool drain_due_ = false;
  bool held_ = false;
  bool limit_told_ = false;
  bool begun_ = false;
  bool taken_ = false;

  // Of one event.
  bool was_done_ = true;
  bool begun_now_ = false;
  bool must_end_ = false;
  error_code allowed_;
};

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  choices given(data, size);
  driver(given).run();
  return 0;
}
