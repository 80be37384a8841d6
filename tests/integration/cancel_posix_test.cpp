// Cancellation by signals that the child answers, and once it was reaped.

#include <subproc/pool.hpp>
#include <subproc/run.hpp>

#include "cancellable.hpp"
#include "children.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include <poll.h>
#include <signal.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

using asio::cancellation_type;

namespace {

/// A shell that tells what it gets on descriptor 3 and waits in reads of its stdin.
class talker {
public:
  explicit talker(const std::string& script)
      : cmd(shell(script + "; echo ready >&3; while :; do read x; done")
                .in(fd(gate_.read_end.get()))
                .out(piped)
                .map_fds({{3, told_.write_end.get()}})) {}

  /// The next line, while the loop runs.
  std::string next(asio::io_context& context) const {
    std::string line;
    while (line.empty() || line.back() != '\n') {
      pollfd entry{told_.read_end.get(), POLLIN, 0};
      while (::poll(&entry, 1, 0) == 0) {
        context.run_one_for(1ms);
      }
      char byte = 0;
      REQUIRE(::read(told_.read_end.get(), &byte, 1) == 1);
      line += byte;
    }
    return line;
  }

  /// Nothing was told.
  bool silent() const {
    pollfd entry{told_.read_end.get(), POLLIN, 0};
    return ::poll(&entry, 1, 0) == 0;
  }

private:
  test_pipe gate_;
  test_pipe told_;

public:
  command cmd;
};

const char* const traps = "trap 'echo int >&3; echo int' INT; trap 'echo term >&3; exit 5' TERM";

} // namespace

TEST_SUITE("cancel") {
  TEST_CASE("cancel: a result that is already there wins [T40]") {
    const leak_check leaks;
    for (const bool signals : {false, true}) {
      asio::io_context context;
      cancellable job;
      job.start(context, steps({"say:text"}).out(piped).cancel_signals(signals));
      bool noticed = false; // its end: it was reaped, which is posted and not yet told
      while (job.calls == 0 && context.run_one() != 0) {
        if (!noticed && job.calls == 0 && !has_children()) {
          noticed = true;
          job.signal.emit(cancellation_type::total);
        }
      }
      CHECK(noticed);
      CHECK(job.calls == 1);
      CHECK_FALSE(job.error);
      CHECK_FALSE(job.result.cancelled);
    }
  }

  TEST_CASE("cancel: total, partial, terminal are SIGINT, SIGTERM, SIGKILL to the scope") {
    const leak_check leaks;
    const watchdog guard;
    struct row {
      cancellation_type type;
      exit_status status;
    };
    for (const row& each : {row{cancellation_type::total, exit_status::from_signal(SIGINT)},
                            row{cancellation_type::partial, exit_status::from_signal(SIGTERM)},
                            row{cancellation_type::terminal, exit_status::from_signal(SIGKILL)},
                            row{cancellation_type::total | cancellation_type::partial,
                                exit_status::from_signal(SIGTERM)},
                            row{cancellation_type::all, exit_status::from_signal(SIGKILL)}}) {
      for (const bool group : {false, true}) {
        CAPTURE(static_cast<int>(each.type));
        CAPTURE(group);
        asio::io_context context;
        const talker child("echo text");
        command cmd = command(child.cmd).cancel_signals();
        cancellable job;
        job.start(context, group ? cmd.process_group(0) : cmd);
        CHECK(child.next(context) == "ready\n");
        job.signal.emit(cancellation_type::none);
        context.poll();
        CHECK(job.calls == 0);
        job.signal.emit(each.type);
        CHECK(job.calls == 0); // not from inside emit
        context.run();
        CHECK(job.calls == 1);
        CHECK(job.code() == asio::error::operation_aborted);
        CHECK(job.result.cancelled);
        CHECK(job.result.status == each.status);
        CHECK((job.result.out == "text\n" || each.status.signal() == SIGKILL));
        CHECK_FALSE(job.result.forced);
      }
    }
  }

  TEST_CASE("cancel: the run goes on until the child has ended in its own way, and is whole") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    const talker child("trap 'echo term >&3; head -c 300000 /dev/zero; exit 5' TERM");
    cancellable job;
    job.start(context, command(child.cmd).cancel_signals());
    CHECK(child.next(context) == "ready\n");
    job.signal.emit(cancellation_type::partial);
    context.run();
    CHECK(job.code() == asio::error::operation_aborted);
    CHECK(job.result.status == exit_status::from_code(5));
    CHECK(job.result.out == std::string(300'000, '\0'));
  }

  TEST_CASE("cancel: a stronger one escalates, any other changes nothing") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    for (const bool to_the_end : {false, true}) {
      const talker child(to_the_end ? "trap 'echo int >&3' INT; trap 'echo term >&3' TERM" : traps);
      cancellable job;
      job.start(context, command(child.cmd).cancel_signals());
      context.restart();
      CHECK(child.next(context) == "ready\n");
      job.signal.emit(cancellation_type::total);
      CHECK(child.next(context) == "int\n");
      CHECK(job.calls == 0);
      job.signal.emit(cancellation_type::total);
      context.poll();
      job.signal.emit(cancellation_type::partial);
      CHECK(child.next(context) == "term\n"); // and no second "int"
      if (to_the_end) {
        job.signal.emit(cancellation_type::total);
        context.poll();
        CHECK(job.calls == 0);
        job.signal.emit(cancellation_type::terminal);
      }
      context.run();
      CHECK(job.calls == 1);
      CHECK(child.silent());
      CHECK(job.code() == asio::error::operation_aborted);
      CHECK(job.result.status ==
            (to_the_end ? exit_status::from_signal(SIGKILL) : exit_status::from_code(5)));
      CHECK(job.result.forced == to_the_end);
    }
  }

  TEST_CASE("cancel: its time-out still bounds a run that was cancelled") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    for (const bool steps_too : {false, true}) {
      const talker child(traps);
      cancellable job;
      command cmd = command(child.cmd).cancel_signals().timeout(200ms);
      job.start(context, steps_too ? cmd.stop_steps({{SIGTERM, 1h}}) : cmd);
      context.restart();
      CHECK(child.next(context) == "ready\n");
      job.signal.emit(cancellation_type::total);
      context.run();
      CHECK(job.calls == 1);
      CHECK(job.code() == asio::error::operation_aborted); // that was first
      CHECK(job.result.out == "int\n");
      CHECK(job.result.status ==
            (steps_too ? exit_status::from_code(5) : exit_status::from_signal(SIGKILL)));
      CHECK(child.next(context) == "int\n");
    }
  }

  TEST_CASE("cancel: with steps a run is stopped by them, and a second one kills [A48]") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    for (const bool twice : {false, true}) {
      const talker child(twice ? "trap 'echo term >&3' TERM" : traps);
      cancellable job;
      job.start(context, command(child.cmd).stop_steps({{SIGTERM, 1h}, {SIGKILL, 1h}}));
      context.restart();
      CHECK(child.next(context) == "ready\n");
      job.signal.emit(cancellation_type::terminal);
      CHECK(child.next(context) == "term\n");
      if (twice) {
        CHECK(job.calls == 0);
        job.signal.emit(cancellation_type::terminal);
      }
      context.run();
      CHECK(job.calls == 1);
      CHECK(job.code() == asio::error::operation_aborted);
      CHECK(job.result.forced == twice);
      CHECK(job.result.status ==
            (twice ? exit_status::from_signal(SIGKILL) : exit_status::from_code(5)));
    }
  }

  TEST_CASE("cancel: a pool hands its cancellation to its jobs, each by its own command") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    const talker by_signals(traps);
    const talker by_steps("trap 'echo usr >&3; exit 6' USR1");
    const talker plain(traps);
    const std::vector<command> all{command(by_signals.cmd).cancel_signals(),
                                   command(by_steps.cmd).stop_steps({{SIGUSR1, 1h}}), plain.cmd};
    std::size_t given = 0;
    std::vector<pool_result> results;
    pool jobs(
        context, {.concurrency = 4, .keep_order = true},
        [&](command& next) {
          if (given == all.size()) {
            return next_command::later;
          }
          next = all[given++];
          return next_command::ready;
        },
        [&](pool_result result) { results.push_back(std::move(result)); });
    asio::cancellation_signal signal;
    int calls = 0;
    jobs.async_run(asio::bind_cancellation_slot(
        signal.slot(), [&](std::exception_ptr error, pool_summary summary) {
          ++calls;
          CHECK(error);
          CHECK(summary.failed == 3);
        }));
    for (const talker* each : {&by_signals, &by_steps, &plain}) {
      CHECK(each->next(context) == "ready\n");
    }
    signal.emit(cancellation_type::total);
    CHECK(by_signals.next(context) == "int\n");
    CHECK(by_steps.next(context) == "usr\n");
    CHECK(calls == 0);
    signal.emit(cancellation_type::partial);
    context.run();
    CHECK(calls == 1);
    CHECK(plain.silent());
    REQUIRE(results.size() == 3);
    CHECK(results[0].process.status == exit_status::from_code(5));
    CHECK(results[1].process.status == exit_status::from_code(6));
    CHECK(results[2].process.status == exit_status::from_signal(SIGKILL));
    for (const pool_result& each : results) {
      CHECK(each.process.cancelled);
    }
  }

} // TEST_SUITE
