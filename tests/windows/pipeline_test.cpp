#include <subproc/pipeline.hpp>

#include "support.hpp"

#include <asio/io_context.hpp>
#include <asio/use_future.hpp>

#include <chrono>
#include <string>
#include <string_view>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

command does(const char* first, const char* second = nullptr) {
  command cmd(helper("steps"), first);
  return second ? std::move(cmd).arg(second) : cmd;
}

} // namespace

TEST_SUITE("windows: pipeline") {
  TEST_CASE("windows: a pipeline passes all bytes on, blocking and on a loop") {
    const pipeline what = does("out:1000000") | does("echo") | does("count").out(piped);
    CHECK(run(what).out() == "1000000");
    asio::io_context context;
    auto done = async_run(context, what, asio::use_future);
    context.run();
    CHECK(done.get().out() == "1000000");
  }

  TEST_CASE("windows: a pipeline has each stage's status and stderr") {
    const pipeline_result done = run((does("warn:first", "exit:3") | does("echo", "exit:4"))
                                         .capture_output()
                                         .policy(pipeline_policy::first_failed));
    CHECK(done.stages[0].err == "first\n");
    CHECK(done.status == exit_status::from_code(3));
    CHECK(done.stages[1].status == exit_status::from_code(4));
  }

  TEST_CASE("windows: of a pipeline all is started or nothing") {
    try {
      run(does("read:1") | command("no-such-program-xyz") | does("count"));
      FAIL("no error");
    } catch (const pipeline_spawn_error& error) {
      CHECK(error.stage() == 1);
      CHECK(error.path() == "no-such-program-xyz");
    }
  }

  TEST_CASE("windows: a filter of a pipeline gets all bytes and one end") {
    const filter upper([](std::string_view bytes) {
      return bytes.empty() ? "end" : std::string(bytes.size(), 'X');
    });
    const pipeline_result done = run(does("out:1000000") | upper | does("echo").out(piped));
    CHECK(done.out() == std::string(1000000, 'X') + "end");
  }

  TEST_CASE("windows: a pipeline is stopped at its time-out") {
    const pipeline endless = does("yes") | does("echo") | does("count");
    CHECK_THROWS_AS(run(pipeline(endless).timeout(100ms)), timeout_expired);
    CHECK_THROWS_AS(run(pipeline(endless).timeout(100ms).own_groups()), timeout_expired);
  }
}
