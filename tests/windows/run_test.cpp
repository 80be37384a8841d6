#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "support.hpp"

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>

using namespace subproc;
using namespace subproc::test;

TEST_SUITE("windows: run") {
  TEST_CASE("windows: run captures both streams and the exit code, blocking") {
    const completed_process done =
        run(command(helper("steps"), "say:to out", "warn:to err", "exit:7").capture_output());
    CHECK(done.out == "to out\n");
    CHECK(done.err == "to err\n");
    CHECK(done.status == exit_status::from_code(7));
    CHECK(done.launched_by == launcher_kind::create_process);
    CHECK(done.pid > 0);
  }

  TEST_CASE("windows: run captures both streams and the exit code, on the loop") {
    asio::io_context context;
    completed_process done;
    std::exception_ptr failed;
    async_run(context,
              command(helper("steps"), "say:to out", "warn:to err", "exit:7").capture_output(),
              [&](std::exception_ptr error, completed_process result) {
                failed = error;
                done = std::move(result);
              });
    context.run();
    CHECK(failed == nullptr);
    CHECK(done.out == "to out\n");
    CHECK(done.err == "to err\n");
    CHECK(done.status == exit_status::from_code(7));
  }

  TEST_CASE("windows: a coroutine runs children, one after the other") {
    asio::io_context context;
    std::string got;
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
          const auto executor = co_await asio::this_coro::executor;
          for (int i = 0; i < 3; ++i) {
            got += co_await async_check_output(
                executor, command(helper("steps"), "echo").input("ab"), asio::use_awaitable);
          }
        },
        asio::detached);
    context.run();
    CHECK(got == "ababab");
  }

  TEST_CASE("windows: all that is given to stdin reaches the child") {
    const std::string input(300'000, 'x');
    CHECK(run(command(helper("steps"), "count").input(input).out(piped)).out == "300000");
    CHECK(run(command(helper("steps"), "count").input("").out(piped)).out == "0");
  }

  TEST_CASE("windows: a program that is missing is an error of the step exec that names it") {
    const spawn_error error = spawn_error_of([] { run(command("no-such-program-xyz")); });
    CHECK(error.step() == spawn_step::exec);
    CHECK(error.code() == std::errc::no_such_file_or_directory);
    CHECK(error.path() == "no-such-program-xyz");
  }

  TEST_CASE("windows: other kinds of launchers are refused") {
    CHECK(make_launcher(launcher_kind::create_process) == default_launcher());
    for (const launcher_kind kind : {launcher_kind::clone3, launcher_kind::vfork,
                                     launcher_kind::fork, launcher_kind::custom}) {
      try {
        make_launcher(kind);
        FAIL("no error");
      } catch (const std::system_error& error) {
        CHECK(error.code() == std::errc::function_not_supported);
      }
    }
  }
}
