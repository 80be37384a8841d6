#include <subproc/subproc.hpp>

#include "children.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/use_future.hpp>
#include <doctest/doctest.h>

#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

/// Returns once the child has written: its output is there, however short the time-out.
class ready_launcher final : public launcher {
public:
  launched_child start(const command& cmd) override {
    launched_child made = default_launcher()->start(cmd);
    REQUIRE(readable(made.out.get()));
    return made;
  }
};

// What it throws when the time-out has passed.
template <class Call>
timeout_expired timeout_of(Call call) {
  try {
    call();
  } catch (const timeout_expired& error) {
    return error;
  }
  FAIL("no time-out");
  throw std::logic_error("not reached");
}

void check_refused(const spawn_error& error, const char* option, const char* words) {
  CHECK(error.code() == std::errc::invalid_argument);
  CHECK(error.step() == spawn_step::arguments);
  CHECK(error.path() == option);
  CHECK(std::string(error.what()).find(words) != std::string::npos);
}

} // namespace

TEST_SUITE("run") {

  TEST_CASE("run: status and both outputs are in the result") {
    const leak_check leaks;
    const completed_process done =
        run(steps({"say:out", "warn:err", "exit:3"}).out(piped).err(piped));
    CHECK(done.status.exit_code() == 3);
    CHECK(done.out == "out\n");
    CHECK(done.err == "err\n");
    CHECK(done.out_captured);
    CHECK(done.pid > 0);
  }

  TEST_CASE("run: a child that fills both pipes before it reads does not deadlock [T37]") {
    const leak_check leaks;
    const std::string big(1 << 20, 'x');
    const completed_process done =
        run(steps({"out:1000000", "err:1000000", "echo"}).capture_output().input(big));
    CHECK(done.out == pattern(1'000'000) + big);
    CHECK(done.err == pattern(1'000'000));
  }

  TEST_CASE("run: input that is not read is no error, and no SIGPIPE [T38]") {
    const leak_check leaks;
    const completed_process done = run(steps({"exit:0"}).input(std::string(1 << 20, 'x')));
    CHECK(done.status.success());
  }

  TEST_CASE("run: at the time-out the child is gone and reaped, its output in the exception "
            "[K12] [K64]") {
    const leak_check leaks;
    const test_pipe gate;
    const command cmd = steps({"say:part", "warn:error", "byte:0", "say:late"})
                            .in(fd(gate.read_end.get()))
                            .timeout(100ms)
                            .launcher(std::make_shared<ready_launcher>());
    for (const bool whole : {false, true}) {
      const timeout_expired error = timeout_of([&] {
        whole ? run(command(cmd).capture_output()).out : check_output(command(cmd).err(null));
      });
      CHECK_FALSE(has_children());
      CHECK(error.timeout() == 0.1);
      CHECK(error.result().status == killed());
      CHECK(error.result().timed_out);
      CHECK(error.result().out == "part\n");
      CHECK(error.result().out_captured);
      CHECK(error.result().err_captured == whole);
      CHECK(std::string(error.what()).ends_with("' timed out after 0.1 seconds."));
    }
  }

  TEST_CASE("run: check and ok_codes say which status is an error") {
    const command failing = steps({"exit:1"});
    CHECK_THROWS_AS(check_output(failing), called_process_error);
    CHECK_THROWS_AS(run(command(failing).check()), called_process_error);
    CHECK_NOTHROW(run(command(failing).check().ok_codes({0, 1})));
    CHECK(call(failing).exit_code() == 1);
    CHECK(check_output({helper("steps"), "say:text"}) == "text\n");
  }

  TEST_CASE("run: a limit is exact at its boundary [T42]") {
    const leak_check leaks;
    CHECK(run(steps({"out:1000"}).out(piped).limit(1000)).out.size() == 1000);
    CHECK_THROWS_AS(run(steps({"out:1001"}).out(piped).limit(1000)), operation_error);
    CHECK(run(steps({"out:1001"}).out(piped).limit(1000, overflow::tail)).out ==
          pattern(1001).substr(1));
  }

  TEST_CASE("run: a failed start names step and path and leaves nothing [T4] [T5] [K55] [K62]") {
    const leak_check leaks;
    const command all("/no/such");
    for (int i = 0; i < starts(1024); ++i) {
      const spawn_error missing =
          spawn_error_of([&] { run(command(all).input("x").capture_output()); });
      CHECK(missing.code() == std::errc::no_such_file_or_directory);
      CHECK(missing.step() == spawn_step::exec);
      CHECK(missing.path() == "/no/such");
      if (i % 4 != 0) {
        continue;
      }
      const spawn_error executable =
          spawn_error_of([] { run(command("true").executable("/no/such/either")); });
      CHECK(executable.code() == std::errc::no_such_file_or_directory);
      CHECK(executable.step() == spawn_step::exec);
      CHECK(executable.path() == "/no/such/either");
      const spawn_error cwd = spawn_error_of([&] { run(steps({}).cwd("/nowhere")); });
      CHECK(cwd.code() == std::errc::no_such_file_or_directory);
      CHECK(cwd.step() == spawn_step::chdir);
      CHECK(cwd.path() == "/nowhere");
    }
    try {
      run(command(all).check());
    } catch (const subprocess_error&) {
      FAIL("no child ran, so none failed");
    } catch (const system_error& error) {
      CHECK(error.code() == std::errc::no_such_file_or_directory);
    }
  }

  TEST_CASE("run: blocking forms are safe from several threads at once") {
    const watchdog guard;
    std::vector<std::thread> threads;
    std::atomic<int> good = 0;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < starts(50); ++i) {
          good += run(steps({"echo"}).input("x").out(piped)).out == "x" ? 1 : 0;
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(good == 8 * starts(50));
  }

  TEST_CASE("run: the asynchronous forms give the same, and a cancelled one leaves no child") {
    const leak_check leaks;
    asio::io_context context;
    auto done = async_run(context, steps({"say:text"}).out(piped), asio::use_future);
    auto output = async_check_output(context, steps({"say:hi"}), asio::use_future);
    auto failed = async_check_call(context, steps({"exit:1"}), asio::use_future);
    asio::cancellation_signal signal;
    bool cancelled = false;
    async_run(context, unending_child(),
              asio::bind_cancellation_slot(
                  signal.slot(), [&](std::exception_ptr error, const completed_process& result) {
                    cancelled = error && result.cancelled;
                  }));
    asio::post(context, [&] { signal.emit(asio::cancellation_type::terminal); });
    context.run();
    CHECK(done.get().out == "text\n");
    CHECK(output.get() == "hi\n");
    CHECK_THROWS_AS(failed.get(), called_process_error);
    CHECK(cancelled);
  }

  TEST_CASE("run: one deadline bounds several steps together [B23]") {
    const leak_check leaks;
    const watchdog guard;
    const auto end = std::chrono::steady_clock::now() + 300ms;
    const command quick = steps({"say:done"}).out(piped).deadline(end);
    const command endless = unending_child().timeout(1h).deadline(end);
    CHECK(run(quick).out == "done\n");
    asio::io_context context;
    auto one = async_check_output(context, steps({"say:done"}).deadline(end), asio::use_future);
    auto two = async_run(context, endless, asio::use_future);
    context.run();
    CHECK(one.get() == "done\n");
    CHECK_THROWS_AS(two.get(), timeout_expired);
    CHECK(std::chrono::steady_clock::now() >= end);
    // Now it has passed: what needs no time is a success, all else is over at once.
    CHECK_THROWS_AS(run(endless), timeout_expired);
    process child(context, endless);
    CHECK_THROWS_AS(child.communicate(), timeout_expired);
    child.kill();
    child.wait();
    CHECK(child.communicate().status == killed());
  }

  TEST_CASE("run: a pool keeps order when asked, and every result comes") {
    const leak_check leaks;
    asio::io_context context;
    int next = 0;
    std::vector<std::string> got;
    pool jobs(
        context, {.concurrency = 4, .keep_order = true},
        [&](command& cmd) {
          cmd = steps({"say:" + std::to_string(next)}).out(piped);
          return ++next > 20 ? next_command::end : next_command::ready;
        },
        [&](pool_result result) { got.push_back(result.process.out); });
    pool_summary all;
    jobs.async_run([&](std::exception_ptr error, pool_summary summary) {
      CHECK_FALSE(error);
      all = summary;
    });
    context.run();
    CHECK(all.succeeded == 20);
    REQUIRE(got.size() == 20);
    for (int i = 0; i < 20; ++i) {
      CHECK(got[static_cast<std::size_t>(i)] == std::to_string(i) + "\n");
    }
  }

  TEST_CASE("run: call gives the child's status, whatever it is [K1]") {
    const leak_check leaks;
    CHECK(call(steps({"exit:47"})) == exit_status::from_code(47));
  }

  TEST_CASE("run: a call that takes too long is killed and reaped [K2]") {
    const leak_check leaks;
    const timeout_expired error = timeout_of([] { call(unending_child().timeout(100ms)); });
    CHECK_FALSE(has_children());
    CHECK(error.result().status == killed());
    CHECK(error.timeout() == 0.1);
  }

  TEST_CASE("run: check_call, and run with check, pass 0 and throw at 47 [K3] [K63]") {
    const leak_check leaks;
    CHECK(check_call(steps({"exit:0"})) == exit_status::from_code(0));
    CHECK(run(steps({"exit:0"}).check()).returncode() == 0);
    for (const bool by_run : {false, true}) {
      const command cmd = steps({"exit:47"});
      try {
        by_run ? run(command(cmd).check()).status : check_call(cmd);
        FAIL("nothing was thrown");
      } catch (const called_process_error& error) {
        CHECK(error.result().status == exit_status::from_code(47));
        CHECK(error.result().args() == cmd.args());
        CHECK(std::string(error.what()).ends_with("' returned non-zero exit status 47."));
      }
    }
    const completed_process done = run(steps({"exit:47"}));
    CHECK(done.returncode() == 47);
    CHECK_THROWS_AS(done.check_returncode(), called_process_error);
  }

  TEST_CASE("run: check_output gives stdout alone, or with it what was merged [K4] [K6] [K7]") {
    const leak_check leaks;
    const command both = steps({"say:out", "warn:err"});
    test_pipe own_stderr;
    std::string out;
    {
      const redirected err(2, own_stderr.write_end.get());
      out = check_output(both);
    }
    CHECK(out == "out\n");
    CHECK(written_to(own_stderr) == "err\n"); // inherited
    CHECK(check_output(command(both).err(merge)) == "out\nerr\n");
    const own_folder folder;
    CHECK(check_output(steps({"echo"}).in(file(folder.write("in", "from a file")))) ==
          "from a file");
  }

  TEST_CASE("run: check_output's error has code and output [K5]") {
    const leak_check leaks;
    try {
      check_output(steps({"say:out", "exit:5"}));
      FAIL("nothing was thrown");
    } catch (const called_process_error& error) {
      CHECK(error.result().status == exit_status::from_code(5));
      CHECK(error.result().out == "out\n");
      CHECK(error.result().out_captured);
      CHECK_FALSE(error.result().err_captured);
    }
  }

  TEST_CASE("run: input is read to its end, and an empty one is not our stdin [K8] [K9]") {
    const leak_check leaks;
    const watchdog guard;
    CHECK(check_output(steps({"echo"}).input("abc")) == "abc");
    test_pipe ours;
    REQUIRE(write_text(ours, "ours"));
    std::string out = "?";
    {
      const redirected in(0, ours.read_end.get());
      out = check_output(steps({"echo"}).input(""));
    }
    CHECK(out.empty());
    CHECK(written_to(ours) == "ours");
  }

  TEST_CASE("run: check_output refuses what it does itself, by name [K10]") {
    const leak_check leaks;
    asio::io_context context;
    struct refused {
      command cmd;
      const char* option;
      const char* words;
    };
    for (const refused& each : std::vector<refused>{
             {command("true").out(null), "out", "check_output captures stdout itself"},
             {command("true").out(piped), "out", "check_output captures stdout itself"},
             {command("true").capture_output(), "capture_output",
              "check_output captures stdout itself"},
             {command("true").check(), "check", "check_output checks always"}}) {
      check_refused(spawn_error_of([&] { check_output(each.cmd); }), each.option, each.words);
      auto later = async_check_output(context, each.cmd, asio::use_future);
      context.restart();
      context.run();
      check_refused(spawn_error_of([&] { later.get(); }), each.option, each.words);
    }
  }

  TEST_CASE("run: the environment that is given is the child's [K13]") {
    const leak_check leaks;
    const command cmd = steps({"env:FRUIT"}).env(environment::inherit().set("FRUIT", "banana"));
    CHECK(check_output(cmd) == "banana\n");
    CHECK(run(command(cmd).out(piped)).out == "banana\n");
    CHECK(check_output(command(cmd).env(environment::inherit().set("FRUIT", "x"))) == "x\n");
  }

  TEST_CASE("run: what was captured is there, and nothing else [K65]") {
    const leak_check leaks;
    const command both = steps({"say:out", "warn:err"});
    const completed_process out = run(command(both).out(piped).err(null));
    CHECK(out.out == "out\n");
    CHECK(out.out_captured);
    CHECK(out.err.empty());
    CHECK_FALSE(out.err_captured);
    const completed_process err = run(command(both).out(null).err(piped));
    CHECK(err.out.empty());
    CHECK_FALSE(err.out_captured);
    CHECK(err.err == "err\n");
    CHECK(err.err_captured);
    const completed_process all = run(command(both).capture_output());
    CHECK(all.out == "out\n");
    CHECK(all.err == "err\n");
    CHECK((all.out_captured && all.err_captured));
    const completed_process silent = run(steps({"exit:0"}).capture_output());
    CHECK((silent.out.empty() && silent.out_captured)); // nothing written is not "not captured"
  }

  TEST_CASE("run: a time-out tells the caller's value, also when it was over before [K149]") {
    const leak_check leaks;
    const command forever = unending_child();
    struct row {
      duration limit;
      double seconds;
      const char* words;
    };
    for (const row& each :
         {row{-1s, -1, " timed out after -1 seconds."}, row{0s, 0, " timed out after 0 seconds."},
          row{0.1ms, 0.0001, " timed out after 0.0001 seconds."}}) {
      CAPTURE(each.words);
      const auto check = [&](const timeout_expired& error) {
        CHECK(error.timeout() == each.seconds);
        CHECK(std::string(error.what()).ends_with(each.words));
      };
      check(timeout_of([&] { run(command(forever).timeout(each.limit)); }));
      asio::io_context context;
      auto later = async_run(context, command(forever).timeout(each.limit), asio::use_future);
      context.run();
      check(timeout_of([&] { later.get(); }));
      process child(context, command(forever).out(piped));
      for (int i = 0; i < 2; ++i) {
        check(timeout_of([&] { child.wait(each.limit); }));
        check(timeout_of([&] { child.communicate({}, each.limit); }));
      }
    }
    // What is left of a deadline is never shown as less than nothing.
    const auto past = steady_clock::now() - 1h;
    CHECK(timeout_of([&] { run(command(forever).deadline(past)); }).timeout() == 0);
  }

} // TEST_SUITE
