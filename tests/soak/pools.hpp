#pragma once

#include <subproc/pool.hpp>

#include "ways.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace soak {

/// A pool with a few jobs, in a way that chance decides, to whatever end.
class pools {
public:
  explicit pools(dice& chosen) : dice_(chosen) {}

  /// How many children there were.
  std::size_t one() { return dice_.below(4) == 0 ? submitted() : from_source(); }

private:
  using kind = subproc::failure_kind;
  enum class ending { input, stop, kill, drain, cancel, drop };

  struct job {
    subproc::command cmd;
    kind end;
    std::string out{};
  };

  job any_job() {
    using subproc::test::helper;
    switch (dice_.below(6)) {
    case 0:
    case 1:
      return {subproc::command(helper("nothing")), kind::none};
    case 2: {
      std::string text = dice_.text();
      return {steps({"echo"}).input(text).capture_output(), kind::none, std::move(text)};
    }
    case 3:
      return {steps({"exit:7"}), kind::status};
    case 4:
      return {subproc::command("/no/such/program"), kind::spawn};
    default:
      return {subproc::command(helper("forever")).timeout(std::chrono::milliseconds(1)),
              kind::timeout};
    }
  }

  subproc::pool_options any_options(asio::io_context& context) {
    subproc::pool_options how;
    how.concurrency = 1 + dice_.below(4);
    how.keep_order = dice_.chance();
    if (dice_.chance()) {
      how.job_executors = {context.get_executor()};
    }
    how.retry.retries = dice_.below(3);
    if (dice_.below(4) == 0) {
      how.window = [](const subproc::pool_summary&) { return std::size_t{1}; };
    }
    return how;
  }

  std::size_t from_source() {
    std::vector<job> jobs;
    for (unsigned left = 1 + dice_.below(8); left > 0; --left) {
      jobs.push_back(any_job());
    }
    const auto how_it_ends = dice_.chance() ? ending::input : ending(dice_.below(6));
    asio::io_context context;
    asio::cancellation_signal cancel;
    std::size_t given = 0;
    std::size_t ended = 0;
    std::exception_ptr failure;
    subproc::pool_summary done;
    {
      subproc::pool many(
          context, any_options(context),
          [&](subproc::command& next) {
            if (given == jobs.size()) {
              return subproc::next_command::end;
            }
            next = jobs[given++].cmd;
            return subproc::next_command::ready;
          },
          [&](const subproc::pool_result& result) {
            ++ended;
            check(result, jobs[result.sequence - 1]);
            end(many, how_it_ends, cancel);
          });
      many.async_run(asio::bind_cancellation_slot(
          cancel.slot(), [&](std::exception_ptr error, const subproc::pool_summary& all) {
            failure = std::move(error);
            done = all;
          }));
      while (!(how_it_ends == ending::drop && ended != 0) && context.run_one() != 0) {
      }
      if (how_it_ends == ending::drop) {
        done = many.summary();
      }
    }
    context.run();
    if (failure && how_it_ends != ending::cancel && how_it_ends != ending::drop) {
      std::rethrow_exception(failure);
    }
    require(how_it_ends != ending::input || ended == jobs.size(), "each result of a pool");
    return done.started + done.retried;
  }

  static void end(subproc::pool& many, ending how, asio::cancellation_signal& cancel) {
    switch (how) {
    case ending::stop:
      many.stop(std::chrono::seconds(10));
      break;
    case ending::kill:
      many.kill();
      break;
    case ending::drain:
      many.drain();
      break;
    case ending::cancel:
      cancel.emit(asio::cancellation_type::terminal);
      break;
    default: // the input's end, or the pool's
      break;
    }
  }

  static void check(const subproc::pool_result& result, const job& of) {
    const kind why = result.why();
    require(why == of.end || why == kind::cancelled, "how a job of a pool ended");
    require(why != kind::none || result.process.out == of.out, "the output of a job of a pool");
  }

  std::size_t submitted() {
    asio::io_context context;
    subproc::pool many(context, any_options(context));
    const std::size_t jobs = 1 + dice_.below(6);
    std::size_t ended = 0;
    for (std::size_t i = 0; i < jobs; ++i) {
      const job next = any_job();
      many.async_submit(next.cmd, [&ended](const std::exception_ptr&,
                                           const subproc::completed_process&) { ++ended; });
    }
    if (dice_.chance()) {
      many.kill();
    }
    context.run();
    require(ended == jobs, "each command that was submitted");
    return jobs;
  }

  dice& dice_;
};

} // namespace soak
