#include "console.hpp"
#include "item_template.hpp"
#include "job_input.hpp"
#include "joblog.hpp"
#include "json.hpp"
#include "junit.hpp"
#include "line_stream.hpp"
#include "machine.hpp"
#include "options.hpp"
#include "output.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "whole_file.hpp"

#include <subproc/error.hpp>
#include <subproc/pool.hpp>
#include <subproc/quote.hpp>

#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

namespace fanout {
namespace {

constexpr int own_error = 255;
constexpr double most_stalled = 10; // percent of the time
constexpr std::size_t default_max_output = 64 << 20;

// Each holds two pipes and a pidfd, and one more while it starts; line by line two more pipes.
constexpr std::size_t files_a_job = 4;
constexpr std::size_t files_a_streamed_job = 8;

/// The jobs of one call, from the items to the exit code. Lives as long as the program: its threads
/// may sit in a read or a write when it ends.
class session {
public:
  explicit session(options chosen)
      : options_(std::move(chosen)),
        template_(options_.words, options_.shell, !options_.pipe && !options_.words.empty()),
        signals_(context_), ticks_(context_),
        show_bar_(!options_.quiet && !options_.dry_run &&
                  (options_.bar || (is_terminal(2) && !typed_items()))),
        eta_lines_(options_.eta && !show_bar_ && !options_.dry_run) {
    const std::size_t jobs =
        affordable(options_.jobs != 0 ? options_.jobs : static_cast<std::size_t>(processors()),
                   options_.by_line ? files_a_streamed_job : files_a_job);
    if (jobs < options_.jobs && !options_.quiet) {
      tell(fmt::format("fanout: only {} jobs at once: the limit of open files (ulimit -n) is low\n",
                       jobs));
    }
    options_.jobs = jobs;
  }

  // Throws what is to end the program; by then it has threads, which outlive this.
  int run() {
    try {
      open_files();
      start();
    } catch (...) {
      drop_reports();
      throw;
    }
    context_.run();
    return exit_code();
  }

private:
  void start() {
    pool_ = std::make_unique<subproc::pool>(
        context_, how_to_run(), [this](subproc::command&) { return pull(); },
        [this](subproc::pool_result result) { finished(std::move(result)); });
    input_ = std::make_unique<job_input>(
        options_, template_.measured(room_for_arguments(stack_limit())), [this] { pool_->wake(); });
    for (const int number : stop_signals()) {
      signals_.add(number);
    }
    for (const int number : {more_jobs_signal, fewer_jobs_signal}) {
      if (number != 0) {
        signals_.add(number);
      }
    }
    watch_signals();
    tick();
    pool_->async_run([this](std::exception_ptr error, const subproc::pool_summary& all) {
      jobs_ended_ = true;
      halted_ = all.halted;
      error_ = error_ ? error_ : std::move(error);
      if (draining_ == 0 || error_ || reader_left_ || interrupts_ > 1) {
        end();
      }
    });
  }

  void end() {
    if (std::exchange(ended_, true)) {
      return;
    }
    if (trace_ >= 0) {
      output_.put(trace_, traced_ ? "\n]\n" : "[]\n");
    }
    write_reports();
    ticks_.cancel();
    clear_bar();
    tell(last_words());
    output_.flush();
    if (interrupts_ > 1) {
      give_up_output();
    }
  }

  struct job {
    std::uint64_t number = 0; ///< its place in the input
    std::size_t slot = 0;
    row columns;
    std::string block; ///< for its stdin
    std::shared_ptr<line_stream> out{};
    std::shared_ptr<line_stream> err{};
  };

  void open_files() {
    if (options_.dry_run) {
      return;
    }
    if (!options_.joblog.empty()) {
      joblog_.emplace(options_.joblog, options_.resume_failed ? joblog::use::resume_failed
                                       : options_.resume      ? joblog::use::resume
                                                              : joblog::use::anew);
      files_[joblog_->descriptor()] = options_.joblog;
    }
    json_ = options_.json == "-" ? 1 : create(options_.json);
    trace_ = create(options_.trace);
    if (!options_.report.empty()) {
      report_file_.emplace(options_.report);
      report_.emplace(began_);
    }
    if (!options_.junit.empty()) {
      junit_.emplace(options_.junit, began_);
    }
    if (options_.nice != 0) {
      if (const int error = be_nice(options_.nice)) {
        throw std::system_error(error, std::generic_category(), "--nice");
      }
    }
  }

  int create(const std::string& path) {
    if (path.empty()) {
      return -1;
    }
    const int descriptor = open_file(path, file_use::create);
    if (descriptor < 0) {
      throw std::system_error(errno, std::generic_category(), "'" + path + "'");
    }
    files_[descriptor] = path;
    return descriptor;
  }

  subproc::pool_options how_to_run() {
    subproc::pool_options how;
    how.concurrency = options_.jobs;
    if (options_.jobs == 1) {
      how.job_executor = context_.get_executor();
    }
    how.keep_order = options_.keep_order;
    how.rate = options_.rate;
    how.timeout_factor = options_.timeout_factor;
    how.retry = options_.retry;
    how.halt = options_.halt;
    how.halt.grace = std::chrono::duration<double>(options_.grace);
    how.prepare = [this](subproc::command& next, const subproc::job_try& which) {
      prepare(next, which);
    };
    if (options_.load || options_.free_memory != 0 || options_.adaptive) {
      how.window = [this](const subproc::pool_summary& now) { return window(now); };
    }
    return how;
  }

  // None while the machine has enough to do.
  std::size_t window(const subproc::pool_summary& now) {
    const bool loaded = options_.load && processes_that_run().value_or(0) >= *options_.load;
    const bool full =
        options_.free_memory != 0 && available_memory().value_or(SIZE_MAX) < options_.free_memory;
    if (options_.adaptive) {
      adapt();
    }
    return loaded || full ? now.running : adapted_;
  }

  // A quarter less while the machine stalls, one more a second while it does not.
  void adapt() {
    const auto now = std::chrono::steady_clock::now();
    if (now - adapted_at_ < std::chrono::seconds(1)) {
      return;
    }
    adapted_at_ = now;
    adapted_ = std::min(adapted_, options_.jobs);
    adapted_ = stalled().value_or(0) > most_stalled ? adapted_ - adapted_ / 4 : adapted_ + 1;
  }

  subproc::next_command pull() {
    if (output_.full()) {
      return subproc::next_command::later; // until there is room
    }
    job next;
    switch (input_->next(next.columns)) {
    case job_input::state::end:
      return subproc::next_command::end;
    case job_input::state::later:
      return subproc::next_command::later;
    case job_input::state::item:
      break;
    }
    if (options_.pipe) {
      next.block = std::move(next.columns.front());
      next.columns.clear();
    }
    next.number = ++number_;
    if (number_ == 1) {
      template_.name_columns(input_->names());
      same_command_ = !template_.has_slot();
    }
    if (options_.words.empty() && !is_command(next)) {
      ++left_out_;
      return in_turn();
    }
    if (options_.dry_run) {
      output_.put(1, to_string(made(next, 1)) + '\n');
      return in_turn();
    }
    if (joblog_ && joblog_->has(next.number, same_command_ ? to_string(made(next, 1)) : "")) {
      ++left_out_;
      return in_turn();
    }
    jobs_.emplace(++last_sequence_, std::move(next));
    return subproc::next_command::ready;
  }

  // Not an empty line or a comment. Throws std::invalid_argument for what is no command.
  static bool is_command(const job& of) {
    const std::string& line = of.columns.front();
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first == line.npos || line[first] == '#') {
      return false;
    }
    try {
      return !subproc::split(line).empty();
    } catch (const std::system_error& error) {
      throw std::invalid_argument(
          fmt::format("line {} is no command: {}: {}", of.number, line, error.what()));
    }
  }

  subproc::command made(const job& of, std::size_t slot) const {
    if (!options_.words.empty()) {
      return template_.make(of.columns, of.number, slot);
    }
    const std::string& line = of.columns.front();
    return options_.shell ? subproc::shell(line) : subproc::command(subproc::split(line));
  }

  // Of jobs, in bytes.
  std::uint64_t stack_limit() const {
    std::uint64_t least = subproc::unlimited;
    for (const subproc::resource_limit& each : options_.limits) {
      const auto* const known = std::get_if<subproc::resource>(&each.which);
      least = known && *known == subproc::resource::stack ? std::min(least, each.soft) : least;
    }
    return least;
  }

  // Nothing to start, but signals have their turn, however long the input.
  subproc::next_command in_turn() {
    pool_->wake();
    return subproc::next_command::later;
  }

  void prepare(subproc::command& next, const subproc::job_try& which) {
    job& of = jobs_.at(which.sequence);
    of.slot = which.slot;
    subproc::command cmd = made(of, of.slot);
    // A group of its own: a time-out or a stop takes all that the job has started.
    if (options_.pipe) {
      cmd.input(of.block);
    } else {
      cmd.in(empty_input());
    }
    redirect(cmd, of);
    cmd.process_group(0);
    cmd.die_with_parent(jobs_die_with_fanout);
    subproc::environment variables = subproc::environment::inherit()
                                         .set("FANOUT_SEQ", std::to_string(of.number))
                                         .set("FANOUT_SLOT", std::to_string(of.slot))
                                         .set("FANOUT_TRY", std::to_string(which.number));
    std::vector<subproc::resource_limit> limits = options_.limits;
    for (const per_try& each : options_.by_try) {
      const std::size_t at = std::min<std::size_t>(which.number, each.values.size()) - 1;
      variables.set(each.name, each.values[at]);
      if (!each.limits.empty()) { // instead of --limit: a hard limit cannot be raised again
        const subproc::resource_limit limit(each.name, each.limits[at], each.limits[at]);
        std::erase_if(limits, [&](const auto& other) { return other.which == limit.which; });
        limits.push_back(limit);
      }
    }
    cmd.env(std::move(variables));
    if (options_.timeout) {
      cmd.timeout(std::chrono::duration<double>(*options_.timeout));
    }
    if (!options_.folder.empty()) {
      cmd.cwd(options_.folder);
    }
    if (!limits.empty()) {
      cmd.with(subproc::limits{.rlimits = std::move(limits)});
    }
    next = std::move(cmd);
  }

  void redirect(subproc::command& cmd, job& of) {
    if (options_.ungrouped) {
      cmd.out(subproc::inherit).err(subproc::inherit);
      return;
    }
    cmd.out(subproc::piped).err(subproc::piped);
    if (passes_lines()) {
      if (!of.out) { // all tries of a job have the same
        of.out = stream_to(1, of);
        of.err = stream_to(2, of);
      }
      cmd.out(subproc::tee(subproc::fd(of.out->writer())));
      cmd.err(subproc::tee(subproc::fd(of.err->writer())));
    }
    const bool kept = !passes_lines() || options_.max_output || !options_.json.empty() ||
                      !options_.results.empty() || junit_;
    if (!kept) {
      cmd.limit(report_ ? report::most_output : 1, subproc::overflow::head);
    } else if (const std::size_t most = options_.max_output.value_or(default_max_output)) {
      cmd.limit(most);
    }
  }

  bool passes_lines() const { return options_.by_line && json_ != 1; }

  std::shared_ptr<line_stream> stream_to(int descriptor, const job& of) {
    auto stream = std::make_shared<line_stream>(
        context_, options_.tag ? tag_of(of) : "",
        [this, descriptor](std::string lines) {
          const bool had_bar = (descriptor == 2 || stdout_shows_) && clear_bar();
          output_.put(descriptor, std::move(lines));
          if (had_bar) {
            draw_bar();
          }
        },
        [this](const std::shared_ptr<line_stream>& which) {
          if (!output_.full()) {
            return true;
          }
          held_.push_back(which);
          return false;
        });
    stream->start();
    return stream;
  }

  // A bar would mix with what the user types.
  bool typed_items() const { return options_.inputs.empty() && is_terminal(0); }

  void go_on_reading() {
    for (const auto& each : std::exchange(held_, {})) {
      each->resume();
    }
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
      error_ = error_ ? error_ : std::current_exception();
      pool_->kill();
    }
    if (--draining_ == 0 && jobs_ended_) {
      end();
    }
  }

  void settle(const job& of, subproc::pool_result result) {
    if (reader_left_ || error_) {
      return; // killed because of that, and no news
    }
    if (result.tries == 0) {
      return; // halted before it began
    }
    tell_room();
    const bool stopped = result.why() == subproc::failure_kind::cancelled;
    ++(stopped ? stopped_ : done_);
    failed_ += result.ok() || stopped ? 0 : 1;
    std::string why = result.ok() ? "" : reason(result);
    if (!why.empty() && result.tries > 1) {
      why += fmt::format(" (try {})", result.tries);
    }
    std::string words;
    if (!why.empty() && !options_.quiet && interrupts_ == 0 && !stopped) {
      words = fmt::format("fanout: job {}: {}\n", of.number, why);
    }
    record({result, of.number, of.slot, of.columns, why}, stopped);
    const bool on_terminal = !words.empty() || !result.process.err.empty() ||
                             (stdout_shows_ && !result.process.out.empty());
    const bool had_bar = on_terminal && clear_bar();
    if (json_ != 1 && !of.out) {
      output_.put(1, tagged(of, std::move(result.process.out)));
      output_.put(2, tagged(of, std::move(result.process.err)));
    }
    tell(std::move(words));
    if (eta_lines_ && done_ == 1) {
      tell_eta();
    }
    if (joblog_ && !stopped) { // behind the output: what is logged was written
      output_.put(joblog_->descriptor(), std::move(log_line_));
    }
    if (had_bar) {
      draw_bar();
    }
  }

  // The system refused another process: the pool goes on with fewer.
  void tell_room() {
    if (told_room_ || options_.quiet || pool_->summary().refused == 0) {
      return;
    }
    told_room_ = true;
    clear_bar();
    tell(fmt::format("fanout: the system has no room for {} jobs at once (processes, files or "
                     "memory): going on with as many as it has\n",
                     options_.jobs));
  }

  void record(const job_report& told, bool stopped) {
    if (json_ >= 0) {
      output_.put(json_, json_line(told));
    }
    if (trace_ >= 0) {
      output_.put(trace_,
                  (std::exchange(traced_, true) ? ",\n" : "[\n") + trace_event(told, began_));
    }
    if (joblog_ && !stopped) {
      log_line_ = joblog::line(told.result, told.number);
    }
    if (!options_.results.empty()) {
      keep(told);
    }
    if (report_) {
      report_->add(told, stopped);
    }
    if (junit_) {
      junit_->add(told, stopped);
    }
  }

  // At whatever end, and not behind an output that stalls.
  void write_reports() {
    try {
      if (junit_) {
        junit_->finish(elapsed());
      }
      if (report_) {
        report_file_->write(report_->page({.title = title(),
                                           .note = end_note(),
                                           .began = began_,
                                           .elapsed = elapsed(),
                                           .exit_code = exit_code()}));
        report_file_->finish();
      }
    } catch (const std::system_error&) {
      error_ = error_ ? error_ : std::current_exception();
    }
    drop_reports();
  }

  // What is not finished does not stay.
  void drop_reports() {
    report_file_.reset();
    junit_.reset();
  }

  std::string title() const {
    return options_.words.empty() ? "(commands)" : joined(options_.words);
  }

  std::string end_note() const {
    if (error_) {
      return "fanout gave up: " + words_of(error_);
    }
    return interrupts_ != 0 ? fmt::format("Interrupted by signal {}.", interrupted_by_)
           : reader_left_   ? "Ended early: nobody read the output any more."
           : halted_        ? "Halted by --halt."
                            : "";
  }

  static std::string words_of(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& what) {
      return what.what();
    }
  }

  // RESULTS/12/stdout and stderr.
  void keep(const job_report& told) const {
    const std::filesystem::path folder =
        std::filesystem::path(options_.results) / std::to_string(told.number);
    std::filesystem::create_directories(folder);
    for (const auto& [name, text] : {std::pair("stdout", &told.result.process.out),
                                     std::pair("stderr", &told.result.process.err)}) {
      std::ofstream to(folder / name, std::ios::binary);
      to << *text;
      to.close();
      if (!to) {
        throw std::system_error(errno, std::generic_category(), (folder / name).string());
      }
    }
  }

  static std::string joined(const row& words) {
    std::string all;
    for (const std::string& word : words) {
      (all += all.empty() ? "" : " ") += word;
    }
    return all;
  }

  static std::string tag_of(const job& of) {
    std::string tag = joined(of.columns);
    std::ranges::replace(tag, '\n', ' ');
    return tag + '\t';
  }

  std::string tagged(const job& of, std::string text) const {
    if (!options_.tag || text.empty()) {
      return text;
    }
    const std::string tag = tag_of(of);
    std::string all;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
      (all += tag).append(text, at, end - at);
      at = end;
    }
    return all;
  }

  /// Words of fanout's own.
  void tell(std::string text) { output_.put(2, std::move(text), true); }

  void output_failed(int descriptor, int error) {
    if (descriptor == 1 && error == EPIPE) {
      reader_left_ = true;
    } else {
      const auto file = files_.find(descriptor);
      error_ = std::make_exception_ptr(std::system_error(
          error, std::generic_category(),
          file == files_.end() ? "cannot write output" : "cannot write '" + file->second + "'"));
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
    end();
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
    } catch (const subproc::spawn_error& error) {
      const bool too_long = error.code() == std::errc::argument_list_too_long;
      return error.what() + (too_long ? what_is_too_long(result.process.cmd) : "");
    } catch (const std::exception& error) {
      return error.what();
    }
  }

  static std::string what_is_too_long(const subproc::command& cmd) {
    const auto longest =
        std::ranges::max_element(cmd.args(), {}, [](const auto& arg) { return arg.size(); });
    if (longest->size() > longest_argument()) {
      return fmt::format(": argument {} has {} bytes, and this system takes no more than {} in one "
                         "(MAX_ARG_STRLEN)",
                         longest - cmd.args().begin(), longest->size(), longest_argument());
    }
    return ": its arguments and its environment are more than this system takes (ARG_MAX)";
  }

  // The first signal is polite, the second is not.
  void watch_signals() {
    signals_.async_wait([this](subproc::error_code ec, int number) {
      if (ec) {
        return;
      }
      if (number == more_jobs_signal || number == fewer_jobs_signal) {
        change_jobs(number == more_jobs_signal);
      } else if (number != interrupted_by_ || !comes_twice(number)) {
        ++interrupts_;
        interrupted_by_ = number;
        stop_or_kill();
      }
      watch_signals();
    });
  }

  void change_jobs(bool more) {
    options_.jobs =
        more ? affordable(options_.jobs + 1, options_.by_line ? files_a_streamed_job : files_a_job)
             : std::max<std::size_t>(1, options_.jobs - 1);
    pool_->set_concurrency(options_.jobs);
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
    if (!show_bar_ && !eta_lines_) {
      return;
    }
    ticks_.expires_after(show_bar_ ? std::chrono::milliseconds(100) : std::chrono::seconds(10));
    ticks_.async_wait([this](subproc::error_code ec) {
      if (!ec) {
        if (output_.empty()) { // else its reader is slow, and many bars would wait
          show_bar_ ? draw_bar() : tell_eta();
        }
        tick();
      }
    });
  }

  void tell_eta() {
    tell("fanout: " + progress_line(done_, failed_, total(), elapsed(), 0) + '\n');
  }

  void draw_bar() {
    const std::size_t width = std::max<std::size_t>(terminal_width(2), 2) - 1;
    tell("\r\033[K" + progress_line(done_, failed_, total(), elapsed(), width));
    bar_drawn_ = true;
  }

  /// Of the jobs to be run.
  std::optional<std::size_t> total() const {
    const std::optional<std::size_t> all = input_->total();
    return all ? std::optional(*all - std::min(*all, left_out_)) : all;
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
      return fmt::format("fanout: {}\n", words_of(error_));
    }
    if (interrupts_ != 0 && !options_.quiet) {
      return fmt::format("fanout: interrupted: {} jobs had ended, {} were stopped\n", done_,
                         left_at_interrupt_);
    }
    if (halted_ && interrupts_ == 0 && !options_.quiet) {
      return fmt::format("fanout: halted (--halt): {} jobs had ended, {} were stopped\n", done_,
                         stopped_);
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
  output output_{{[this] {
                    pool_->wake();
                    asio::post(context_, [this] { go_on_reading(); });
                  },
                  [this] { asio::post(context_, [this] { output_written(); }); },
                  [this](int descriptor, int error) {
                    asio::post(context_, [=, this] { output_failed(descriptor, error); });
                  }}};
  bool show_bar_;
  bool eta_lines_;
  bool stdout_shows_ = is_terminal(1);
  bool traced_ = false;
  bool same_command_ = false; ///< whenever a job is run
  bool halted_ = false;
  bool told_room_ = false;
  bool bar_drawn_ = false;
  bool jobs_ended_ = false;
  bool ended_ = false;
  bool giving_up_ = false;
  bool reader_left_ = false;
  int json_ = -1;
  int trace_ = -1;
  int interrupts_ = 0;
  int interrupted_by_ = 0;
  std::optional<joblog> joblog_;
  std::unique_ptr<subproc::pool> pool_;
  std::unique_ptr<job_input> input_;
  std::unordered_map<std::uint64_t, job> jobs_; ///< by their sequence in the pool
  std::unordered_map<int, std::string> files_;  ///< that are written, by descriptor
  std::size_t adapted_ = SIZE_MAX;              ///< how many may run, by --adaptive
  std::chrono::steady_clock::time_point adapted_at_{};
  std::optional<report> report_;
  std::optional<whole_file> report_file_;
  std::optional<junit> junit_;
  std::string log_line_;
  std::exception_ptr error_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::chrono::system_clock::time_point began_ = std::chrono::system_clock::now();
  std::uint64_t number_ = 0;
  std::uint64_t last_sequence_ = 0;
  std::size_t left_out_ = 0;
  std::size_t done_ = 0;
  std::size_t stopped_ = 0;
  std::size_t failed_ = 0;
  std::size_t left_at_interrupt_ = 0;
  std::vector<std::shared_ptr<line_stream>> held_; ///< until there is room for what they read
  std::size_t draining_ = 0; ///< jobs that have ended, not all of whose lines were passed on
};

int main(int argc, char** argv) {
  prepare_streams();
  try {
    std::vector<std::string> words = arguments(argc, argv);
    std::vector<char*> pointers;
    pointers.reserve(words.size() + 1);
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
