#include "session.hpp"

#include "console.hpp"
#include "ending.hpp"
#include "job.hpp"
#include "job_commands.hpp"
#include "job_outputs.hpp"
#include "job_queue.hpp"
#include "job_results.hpp"
#include "loop.hpp"
#include "machine.hpp"
#include "output.hpp"
#include "progress.hpp"
#include "records.hpp"
#include "signals.hpp"
#include "throttle.hpp"

#include <subproc/pool.hpp>

#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>

namespace fanout {
namespace {

class session {
public:
  explicit session(options chosen) : options_(std::move(chosen)) {
    const std::size_t asked = options_.jobs;
    options_.jobs = throttle_.possible(asked);
    if (options_.jobs < asked && !options_.quiet) {
      output_.tell(
          fmt::format("fanout: only {} jobs at once: the limit of open files (ulimit -n) is low\n",
                      options_.jobs));
    }
  }

  int run() {
    try {
      start();
    } catch (...) {
      records_.drop();
      throw;
    }
    loop_.run();
    return ending_.exit_code();
  }

private:
  void start() {
    if (!options_.dry_run) {
      records_.open(began_);
      const int error = options_.nice != 0 ? be_nice(options_.nice) : 0;
      if (error != 0) {
        throw std::system_error(error, std::generic_category(), "--nice");
      }
    }
    // A start holds its thread, and the cores can do no more of them at once.
    loop_.start(std::min(options_.jobs, static_cast<std::size_t>(processors())));
    pool_.emplace(
        loop_.one_at_a_time(), how_to_run(), [this](subproc::command&) { return pull(); },
        [this](subproc::pool_result result) { finished(std::move(result)); });
    queue_.emplace(options_, commands_, records_, [this] { pool_->wake(); });
    signals_.emplace(loop_.one_at_a_time(),
                     signals::callbacks{[this](int number) { stop_or_kill(number); },
                                        [this](bool more) { change_jobs(more); }});
    signals_->watch();
    progress_.start();
    pool_->async_run([this](std::exception_ptr error, const subproc::pool_summary& all) {
      jobs_ended_ = true;
      ending_.halted = all.halted;
      fail(std::move(error));
      if (draining_ == 0 || ending_.error || ending_.reader_left || ending_.interrupts > 1) {
        end();
      }
    });
  }

  void end() {
    if (std::exchange(ended_, true)) {
      return;
    }
    try {
      records_.finish({.title = options_.words.empty() ? "(commands)" : joined(options_.words),
                       .note = ending_.note(),
                       .began = began_,
                       .elapsed = ending_.elapsed(),
                       .exit_code = ending_.exit_code()});
    } catch (const std::system_error&) {
      fail(std::current_exception());
    }
    records_.drop();
    progress_.stop();
    output_.tell(last_words());
    output_.flush();
    if (ending_.interrupts > 1) {
      give_up_output();
    }
  }

  void fail(std::exception_ptr error) {
    ending_.error = ending_.error ? ending_.error : std::move(error);
  }

  std::string last_words() const { return ending_.last_words(options_.quiet, progress_.has_bar()); }

  subproc::pool_options how_to_run() {
    subproc::pool_options how;
    how.concurrency = options_.jobs;
    how.job_executors = loop_.each();
    how.keep_order = options_.keep_order;
    how.rate = options_.rate;
    how.timeout_factor = options_.timeout_factor;
    how.retry = options_.retry;
    how.halt = options_.halt;
    how.halt.grace = std::chrono::duration<double>(options_.grace);
    how.prepare = [this](subproc::command& next, const subproc::job_try& which) {
      job& of = jobs_.at(which.sequence);
      of.slot = which.slot;
      next = commands_.make(of, which);
      outputs_.redirect(next, of);
    };
    if (throttle_.wanted()) {
      how.window = [this](const subproc::pool_summary& now) { return throttle_.window(now); };
    }
    return how;
  }

  subproc::next_command pull() {
    if (output_.full()) {
      return subproc::next_command::later; // until there is room
    }
    job next;
    switch (queue_->next(next)) {
    case job_queue::state::end:
      return subproc::next_command::end;
    case job_queue::state::later:
      return subproc::next_command::later;
    case job_queue::state::left_out:
      return in_turn();
    case job_queue::state::ready:
      break;
    }
    if (options_.dry_run) {
      output_.put(1, commands_.text(next) + '\n');
      return in_turn();
    }
    jobs_.emplace(++last_sequence_, std::move(next));
    return subproc::next_command::ready;
  }

  // Nothing to start, but signals have their turn, however long the input.
  subproc::next_command in_turn() {
    pool_->wake();
    return subproc::next_command::later;
  }

  void finished(subproc::pool_result result) {
    job of = std::move(jobs_.extract(result.sequence).mapped());
    if (!of.out) {
      settle(of, std::move(result));
      return;
    }
    ++draining_;
    const auto over = [this, left = std::make_shared<int>(2), of = std::make_shared<job>(of),
                       result = std::make_shared<subproc::pool_result>(std::move(result))] {
      if (--*left == 0) {
        drained(*of, std::move(*result));
      }
    };
    of.out->finish(over);
    of.err->finish(over);
  }

  void drained(const job& of, subproc::pool_result result) {
    try {
      settle(of, std::move(result));
    } catch (...) {
      fail(std::current_exception());
      pool_->kill();
    }
    if (--draining_ == 0 && jobs_ended_) {
      end();
    }
  }

  void settle(const job& of, subproc::pool_result result) {
    if (ending_.reader_left || ending_.error) {
      return; // killed because of that, and no news
    }
    if (result.tries == 0) {
      return; // halted before it began
    }
    tell_room();
    results_.add(of, std::move(result));
  }

  // The system refused another process: the pool goes on with fewer.
  void tell_room() {
    if (told_room_ || options_.quiet || pool_->summary().refused == 0) {
      return;
    }
    told_room_ = true;
    progress_.clear();
    output_.tell(fmt::format("fanout: the system has no room for {} jobs at once (processes, files "
                             "or memory): going on with as many as it has\n",
                             options_.jobs));
  }

  void output_failed(int descriptor, int error) {
    if (descriptor == 1 && error == EPIPE) {
      ending_.reader_left = true;
    } else {
      const std::string name = records_.name_of(descriptor);
      ending_.error = std::make_exception_ptr(
          std::system_error(error, std::generic_category(),
                            name.empty() ? "cannot write output" : "cannot write '" + name + "'"));
    }
    if (jobs_ended_) {
      output_.tell(last_words());
    }
    pool_->kill();
  }

  void output_written() {
    if (output_.empty()) {
      signals_->cancel();
      patience_.cancel();
    } else {
      output_.flush(); // more words have come since
    }
  }

  // Whoever interrupts twice does not want to wait for a reader that stalls.
  void give_up_output() {
    end();
    if (std::exchange(giving_up_, true)) {
      return;
    }
    patience_.expires_after(std::chrono::seconds(1));
    patience_.async_wait([this](subproc::error_code ec) {
      if (!ec) {
        loop_.stop();
      }
    });
  }

  void change_jobs(bool more) {
    options_.jobs =
        more ? throttle_.possible(options_.jobs + 1) : std::max<std::size_t>(1, options_.jobs - 1);
    pool_->set_concurrency(options_.jobs);
  }

  // The first signal is polite, the second is not.
  void stop_or_kill(int signal) {
    ++ending_.interrupts;
    ending_.interrupted_by = signal;
    if (jobs_ended_) {
      give_up_output();
    } else if (ending_.interrupts == 1) {
      ending_.left_at_interrupt = pool_->running();
      if (ending_.left_at_interrupt != 0 && !options_.quiet) {
        progress_.clear();
        output_.tell(fmt::format("fanout: stopping {} jobs; once more kills them\n",
                                 ending_.left_at_interrupt));
      }
      pool_->stop(std::chrono::duration<double>(options_.grace));
    } else {
      pool_->kill();
    }
  }

  options options_;
  loop loop_{};
  std::optional<signals> signals_{}; ///< once there is something to stop
  asio::steady_timer patience_{loop_.one_at_a_time()};
  output output_{{[this] {
                    pool_->wake();
                    asio::post(loop_.one_at_a_time(), [this] { outputs_.resume(); });
                  },
                  [this] { asio::post(loop_.one_at_a_time(), [this] { output_written(); }); },
                  [this](int descriptor, int error) {
                    asio::post(loop_.one_at_a_time(),
                               [=, this] { output_failed(descriptor, error); });
                  }}};
  ending ending_{};
  std::chrono::system_clock::time_point began_ = std::chrono::system_clock::now();
  progress progress_{loop_.one_at_a_time(), options_, ending_, output_,
                     [this] { return queue_->total(); }};
  records records_{options_, output_};
  job_commands commands_{options_};
  job_outputs outputs_{loop_.one_at_a_time(), options_, output_, progress_};
  job_results results_{options_, ending_, records_, outputs_, progress_, output_};
  throttle throttle_{options_};
  std::optional<job_queue> queue_{};
  std::optional<subproc::pool> pool_{};
  std::unordered_map<std::uint64_t, job> jobs_{}; ///< by their sequence in the pool
  std::uint64_t last_sequence_ = 0;
  std::size_t draining_ = 0; ///< jobs that have ended, not all of whose lines were passed on
  bool told_room_ = false;
  bool jobs_ended_ = false;
  bool ended_ = false;
  bool giving_up_ = false;
};

} // namespace

// It stays, for its threads.
int run_session(options chosen) { return (new session(std::move(chosen)))->run(); }

} // namespace fanout
