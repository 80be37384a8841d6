// Rules of the reference that belong to no other file: where each stream goes, what reaches a
// program, pipelines. The numbers are those of docs/conformance.md.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <cstddef>
#include <string>

using namespace subproc;
using namespace subproc::test;

TEST_SUITE("conformance") {

  TEST_CASE("conformance: streams that are not given are ours, and have no accessors [K14]") {
    const leak_check leaks;
    test_pipe in;
    test_pipe out;
    test_pipe err;
    asio::io_context context;
    exit_status status;
    bool open = true;
    REQUIRE(write_text(in, "in "));
    in.write_end.reset();
    {
      const redirected own_in(0, in.read_end.get());
      const redirected own_out(1, out.write_end.get());
      const redirected own_err(2, err.write_end.get());
      process child(context, steps({"echo", "say:out", "warn:err"}));
      open = child.in().is_open() || child.out().is_open() || child.err().is_open();
      status = child.wait();
    }
    CHECK_FALSE(open);
    CHECK(status.success());
    CHECK(written_to(out) == "in out\n");
    CHECK(written_to(err) == "err\n");
  }

  TEST_CASE("conformance: merged into a stdout that is inherited, stderr goes to ours [K27]") {
    const leak_check leaks;
    test_pipe out;
    {
      const redirected own_out(1, out.write_end.get());
      run(steps({"say:1", "warn:2", "say:3"}).err(merge));
    }
    CHECK(written_to(out) == "1\n2\n3\n");
  }

  TEST_CASE("conformance: the null device swallows all, and gives nothing [K30] [K31]") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    const std::string much = std::to_string(10 << 20);
    process child(context, steps({"out:" + much, "err:" + much}).out(null).err(null));
    CHECK_FALSE(child.out().is_open());
    CHECK_FALSE(child.err().is_open());
    CHECK(child.wait().success());
    const communicate_result result = child.communicate();
    CHECK((result.out.empty() && !result.out_captured));
    CHECK((result.err.empty() && !result.err_captured));
    CHECK(check_output(steps({"count"}).in(null)) == "0");
  }

  TEST_CASE("conformance: a pipeline of two passes on all data and the end of it [K95]") {
    const leak_check leaks;
    const watchdog guard;
    constexpr std::size_t big = 4 << 20;
    asio::io_context context;
    process first(context, steps({"out:" + std::to_string(big)}).out(piped));
    unique_handle between = first.out().release();
    process second(context, steps({"echo"}).in(fd(between.get())).out(piped));
    between.reset();
    const communicate_result result = second.communicate();
    CHECK((result.out == pattern(big)));
    CHECK(result.status.success());
    CHECK(first.wait().success());
  }

  TEST_CASE("conformance: with close_fds(false) our close is the end of the child's input [K125]") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    process child(context, steps({"count"}).in(piped).out(piped).close_fds(false));
    process other(context, steps({"read:1"}).in(piped).close_fds(false));
    child.in().close();
    CHECK(child.communicate().out == "0");
    CHECK(child.wait().success());
  }

} // TEST_SUITE
