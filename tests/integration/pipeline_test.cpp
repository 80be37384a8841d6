#include <subproc/subproc.hpp>

#include "children.hpp"

#include <asio/io_context.hpp>
#include <asio/use_future.hpp>
#include <doctest/doctest.h>

#include <string>

using namespace subproc;
using namespace subproc::test;
TEST_SUITE("pipeline") {
  TEST_CASE("pipeline: smoke") {
    const leak_check leaks;
    const auto done = run((command("printf", "b\na\n") | command("cat") | command("sort")).capture_output());
    CHECK(done.out() == "a\nb\n");
    CHECK(done.ok());
    asio::io_context loop;
    auto f = async_run(loop, command("printf", "b\na\n") | command("sort").out(piped), asio::use_future);
    loop.run();
    CHECK(f.get().out() == "a\nb\n");
    try { run(command("yes") | command("nope") | command("cat")); FAIL("started"); } catch (const spawn_error& e) { MESSAGE(e.what()); }
    try { run((command("false") | command("cat")).policy(pipeline_policy::pipefail).check()); FAIL("ok"); } catch (const called_process_error& e) { MESSAGE(e.what()); }
    try { run((command("yes") | command("sleep", "60")).timeout(std::chrono::milliseconds(50))); FAIL("ok"); } catch (const timeout_expired& e) { MESSAGE(e.what()); }
  }
}
