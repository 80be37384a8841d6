#include "console.hpp"
#include "item_source.hpp"
#include "item_template.hpp"
#include "joblog.hpp"
#include "options.hpp"
#include "output.hpp"
#include "progress.hpp"

#include <subproc/error.hpp>
#include <subproc/pool.hpp>

#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace fanout {
namespace {

constexpr int own_error = 255;

/// The jobs of one call, from the items to the exit code. Lives as long as the program: its threads
/// may sit in a read or a write when it ends.
class session {
public:
  explicit session(options chosen)
      : options_(std::move(chosen)), template_(options_.words, options_.shell), signals_(context_),
        ticks_(context_), show_bar_(!options_.quiet && !options_.dry_run &&
                                    (options_.bar || (is_terminal(2) && !typed_items()))) {
    const std::size_t jobs = affordable(options_.jobs);
    if (jobs < options_.jobs && !options_.quiet) {
      tell(fmt::format("fanout: only {} jobs at once: the limit of open files (ulimit -n) is low\n",
                       jobs));
    }
    options_.jobs = jobs;
    if (!options_.joblog.empty() && !options_.dry_run) {
      joblog_.emplace(options_.joblog);
    }
  }

  int run() {
    pool_ = std::make_unique<subproc::pool>(
        context_,
        subproc::pool_options{.concurrency = options_.jobs, .keep_order = options_.keep_order},
        [this](subproc::command& next) { return pull(next); },
        [this](subproc::pool_result result) { finished(std::move(result)); });
    const auto more = [this] { pool_->wake(); };
    source_ = options_.items
                  ? std::make_unique<item_source>(*options_.items)
                  : std::make_unique<item_source>(0, options_.null_separated ? '\0' : '\n', more);
    for (const int number : stop_signals()) {
      signals_.add(number);
    }
    watch_signals();
    tick();
    pool_->async_run([this](std::exception_ptr error, subproc::pool_summary) {
      jobs_ended_ = true;
      error_ = error_ ? error_ : std::move(error);
      ticks_.cancel();
      clear_bar();
      tell(last_words());
      output_.flush();
      if (interrupts_ > 1) {
        give_up_output();
      }
    });
    context_.run();
    return exit_code();
  }

private:
  subproc::next_command pull(subproc::command& next) {
    if (output_.full()) {
      return subproc::next_command::later; // until there is room
    }
    std::string item;
    switch (source_->next(item)) {
    case item_source::state::end:
      return subproc::next_command::end;
    case item_source::state::later:
      return subproc::next_command::later;
    case item_source::state::item:
      break;
    }
    subproc::command cmd = template_.make(item, ++number_);
    if (options_.dry_run) {
      output_.put(1, to_string(cmd) + '\n');
      pool_->wake(); // signals have their turn, however long the input
      return subproc::next_command::later;
    }
    // A group of its own: a time-out or a stop takes all that the job has started.
    cmd.in(subproc::null).out(subproc::piped).err(subproc::piped).process_group(0);
    if (options_.max_output != 0) {
      cmd.limit(options_.max_output);
    }
    if (options_.timeout) {
      cmd.timeout(std::chrono::duration<double>(*options_.timeout));
    }
    next = std::move(cmd);
    return subproc::next_command::ready;
  }

  // A bar would mix with what the user types.
  bool typed_items() const { return !options_.items && is_terminal(0); }

  void finished(subproc::pool_result result) {
    if (reader_left_ || error_) {
      return; // killed because of that, and no news
    }
    ++done_;
    failed_ += result.ok() ? 0 : 1;
    std::string words;
    if (!result.ok() && !options_.quiet && interrupts_ == 0) {
      words = fmt::format("fanout: job {}: {}\n", result.sequence, reason(result));
    }
    if (joblog_) {
      joblog_->add(result);
    }
    const bool on_terminal = !words.empty() || !result.process.err.empty() ||
                             (stdout_shows_ && !result.process.out.empty());
    const bool had_bar = on_terminal && clear_bar();
    output_.put(1, std::move(result.process.out));
    output_.put(2, std::move(result.process.err));
    tell(std::move(words));
    if (had_bar) {
      draw_bar();
    }
  }

  /// Words of fanout's own.
  void tell(std::string text) { output_.put(2, std::move(text), true); }

  void output_failed(int descriptor, int error) {
    if (descriptor == 1 && error == EPIPE) {
      reader_left_ = true;
    } else {
      error_ = std::make_exception_ptr(
          std::system_error(error, std::generic_category(), "cannot write output"));
    }
    if (jobs_ended_) {
      tell(last_words());
    }
    pool_->kill();
  }

  void output_written() {
    if (output_.empty()) {
      signals_.cancel();
      ticks_.cancel();
    } else {
      output_.flush(); // more words have come since
    }
  }

  // Whoever interrupts twice does not want to wait for a reader that stalls.
  void give_up_output() {
    if (std::exchange(giving_up_, true)) {
      return;
    }
    ticks_.expires_after(std::chrono::seconds(1));
    ticks_.async_wait([this](subproc::error_code ec) {
      if (!ec) {
        context_.stop();
      }
    });
  }

  static std::string reason(const subproc::pool_result& result) {
    if (!result.error) {
      return fmt::format("{}: {}", to_string(result.process.cmd), to_string(result.process.status));
    }
    try {
      std::rethrow_exception(result.error);
    } catch (const subproc::operation_error& error) {
      if (error.code() == subproc::errc::output_limit) {
        return to_string(result.process.cmd) + ": killed, it wrote more than --max-output allows";
      }
      if (error.code() == asio::error::operation_aborted) {
        return to_string(result.process.cmd) + ": killed, fanout gave up";
      }
      return error.what();
    } catch (const subproc::timeout_expired& error) {
      return fmt::format("{}: killed, it took more than {} s", to_string(result.process.cmd),
                         error.timeout());
    } catch (const std::exception& error) {
      return error.what();
    }
  }

  // The first signal is polite, the second is not.
  void watch_signals() {
    signals_.async_wait([this](subproc::error_code ec, int number) {
      if (ec) {
        return;
      }
      if (number != interrupted_by_ || !comes_twice(number)) {
        ++interrupts_;
        interrupted_by_ = number;
        stop_or_kill();
      }
      watch_signals();
    });
  }

  void stop_or_kill() {
    if (jobs_ended_) {
      give_up_output();
    } else if (interrupts_ == 1) {
      left_at_interrupt_ = pool_->running();
      if (left_at_interrupt_ != 0 && !options_.quiet) {
        clear_bar();
        tell(fmt::format("fanout: stopping {} jobs; once more kills them\n", left_at_interrupt_));
      }
      pool_->stop(std::chrono::duration<double>(options_.grace));
    } else {
      pool_->kill();
    }
  }

  void tick() {
    if (!show_bar_) {
      return;
    }
    ticks_.expires_after(std::chrono::milliseconds(100));
    ticks_.async_wait([this](subproc::error_code ec) {
      if (!ec) {
        if (output_.empty()) { // else its reader is slow, and many bars would wait
          draw_bar();
        }
        tick();
      }
    });
  }

  void draw_bar() {
    const std::size_t width = std::max<std::size_t>(terminal_width(2), 2) - 1;
    tell("\r\033[K" + progress_line(done_, failed_, source_->total(), elapsed(), width));
    bar_drawn_ = true;
  }

  /// Whether there was one.
  bool clear_bar() {
    if (bar_drawn_) {
      tell("\r\033[K");
    }
    return std::exchange(bar_drawn_, false);
  }

  std::chrono::duration<double> elapsed() const {
    return std::chrono::steady_clock::now() - started_;
  }

  std::string last_words() const {
    if (reader_left_) {
      return {};
    }
    if (error_) {
      try {
        std::rethrow_exception(error_);
      } catch (const std::exception& error) {
        return fmt::format("fanout: {}\n", error.what());
      }
    }
    if (interrupts_ != 0 && !options_.quiet) {
      return fmt::format("fanout: interrupted: {} jobs had ended, {} were stopped\n",
                         done_ - std::min(done_, left_at_interrupt_), left_at_interrupt_);
    }
    if (show_bar_ && interrupts_ == 0) {
      return fmt::format("fanout: {} jobs, {} failed, {:.1f} s, {:.0f} a second\n", done_, failed_,
                         elapsed().count(),
                         static_cast<double>(done_) / std::max(elapsed().count(), 1e-9));
    }
    return {};
  }

  int exit_code() const {
    if (reader_left_) {
      return 0;
    }
    if (error_) {
      return own_error;
    }
    return interrupts_ != 0 ? 128 + interrupted_by_
                            : static_cast<int>(std::min<std::size_t>(failed_, 101));
  }

  options options_;
  item_template template_;
  asio::io_context context_;
  asio::signal_set signals_;
  asio::steady_timer ticks_;
  output output_{{[this] { pool_->wake(); },
                  [this] { asio::post(context_, [this] { output_written(); }); },
                  [this](int descriptor, int error) {
                    asio::post(context_, [=, this] { output_failed(descriptor, error); });
                  }}};
  bool show_bar_;
  bool stdout_shows_ = is_terminal(1);
  std::optional<joblog> joblog_;
  std::unique_ptr<subproc::pool> pool_;
  std::unique_ptr<item_source> source_;
  std::exception_ptr error_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::uint64_t number_ = 0;
  std::size_t done_ = 0;
  std::size_t failed_ = 0;
  int interrupts_ = 0;
  int interrupted_by_ = 0;
  std::size_t left_at_interrupt_ = 0;
  bool bar_drawn_ = false;
  bool jobs_ended_ = false;
  bool giving_up_ = false;
  bool reader_left_ = false;
};

int main(int argc, char** argv) {
  prepare_streams();
  try {
    std::vector<std::string> words = arguments(argc, argv);
    std::vector<char*> pointers;
    for (std::string& word : words) {
      pointers.push_back(word.data());
    }
    pointers.push_back(nullptr);
    parsed what = parse(static_cast<int>(words.size()), pointers.data());
    return what.ok ? (new session(std::move(*what.ok)))->run() : what.exit_code;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fanout: %s\n", error.what());
    return own_error;
  }
}

} // namespace
} // namespace fanout

int main(int argc, char** argv) { fanout::leave(fanout::main(argc, argv)); }
