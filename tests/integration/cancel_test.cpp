// Cancellation of the run family and the pool: what is sent to the child, and when that is over.

#include <subproc/pool.hpp>
#include <subproc/run.hpp>

#include "cancellable.hpp"
#include "children.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

using asio::cancellation_type;

namespace {

constexpr int sigterm = 15;

/// A child that would not mind a polite signal, and has told that it is there.
class deaf_child {
public:
  command cmd() const {
    return steps({"ignore:2", "ignore:15", "say:ready", "stay"}).out(fd(told_.write_end.get()));
  }
  void wait_for_it(asio::io_context& context) const {
    while (!has_bytes(told_.read_end.get())) {
      context.run_one_for(1ms);
    }
  }

private:
  test_pipe told_;
};

} // namespace

TEST_SUITE("cancel") {

  TEST_CASE("cancel: by default any type kills the scope at once") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    for (const cancellation_type type :
         {cancellation_type::terminal, cancellation_type::partial, cancellation_type::total}) {
      const deaf_child child;
      cancellable job;
      job.start(context, child.cmd());
      context.restart();
      child.wait_for_it(context);
      job.signal.emit(type);
      context.run();
      CHECK(job.code() == asio::error::operation_aborted);
      CHECK(job.result.status == killed());
    }
  }

  TEST_CASE("cancel: before there is a child, none is left, and the run is told as cancelled") {
    const leak_check leaks;
    const watchdog guard;
    for (const cancellation_type type :
         {cancellation_type::terminal, cancellation_type::partial, cancellation_type::total}) {
      for (int i = 0; i < starts(20); ++i) {
        asio::io_context context;
        cancellable job;
        job.start(context, unending_child().cancel_signals());
        if (i % 2 == 1) {
          context.poll();
        }
        job.signal.emit(type);
        context.run();
        CHECK(job.calls == 1);
        CHECK(job.code() == asio::error::operation_aborted);
      }
    }
  }

  TEST_CASE("cancel: once the handler was called it changes nothing [T40]") {
    const leak_check leaks;
    for (const bool signals : {false, true}) {
      asio::io_context context;
      cancellable job;
      job.start(context, steps({"say:text"}).out(piped).cancel_signals(signals));
      while (job.calls == 0 && context.run_one() != 0) {
      }
      job.signal.emit(cancellation_type::total);
      context.restart();
      context.poll();
      CHECK(job.calls == 1);
      CHECK_FALSE(job.error);
      CHECK_FALSE(job.result.cancelled);
    }
  }

  TEST_CASE("cancel: the kill of a pool is one, whatever its jobs would like") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    const deaf_child child;
    int given = 0;
    std::optional<completed_process> got;
    pool jobs(
        context, {.concurrency = 1},
        [&](command& next) {
          next = child.cmd().cancel_signals().stop_steps({{sigterm, 1h}});
          return given++ == 0 ? next_command::ready : next_command::end;
        },
        [&](pool_result result) { got = std::move(result.process); });
    jobs.async_run([](std::exception_ptr, pool_summary) {});
    child.wait_for_it(context);
    jobs.kill();
    context.run();
    REQUIRE(got);
    CHECK(got->status == killed());
  }

  TEST_CASE("cancel: at any moment and from any thread each run ends once and leaves no child") {
    const leak_check leaks;
    const watchdog guard;
    asio::thread_pool threads(4);
    struct job_state {
      asio::cancellation_signal signal;
      std::atomic<int> calls = 0;
    };
    std::vector<std::unique_ptr<job_state>> jobs;
    const std::vector<command> commands{
        unending_child().cancel_signals(),
        unending_child().stop_steps({{sigterm, 1h}}),
        unending_child().timeout(1ms).stop_steps({{0, 1ms}, {sigterm, 1h}}),
        steps({"say:x"}).out(piped).cancel_signals().timeout(2ms).stop_steps({{sigterm, 1h}}),
        steps({"out:100000"}).out(piped).limit(1000).stop_steps({{sigterm, 1h}}),
        unending_child()};
    for (int i = 0; i < starts(240); ++i) {
      job_state& job = *jobs.emplace_back(std::make_unique<job_state>());
      const auto strand = asio::make_strand(threads); // emit and slot must not meet
      asio::post(strand, [&, strand, i] {
        async_run(
            threads, commands[static_cast<std::size_t>(i) % commands.size()],
            asio::bind_cancellation_slot(
                job.signal.slot(),
                asio::bind_executor(strand, [&job](std::exception_ptr, const completed_process&) {
                  ++job.calls;
                })));
        for (const cancellation_type type :
             {cancellation_type::total, cancellation_type::partial, cancellation_type::terminal}) {
          asio::post(strand, [&job, type] { job.signal.emit(type); });
        }
      });
    }
    threads.join();
    for (const auto& job : jobs) {
      CHECK(job->calls == 1);
    }
  }

} // TEST_SUITE
