#include <subproc/memory_file.hpp>

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <array>
#include <string>

using namespace subproc;
using namespace subproc::test;

namespace {

const std::string hidden = "nobody may see this";

} // namespace

TEST_SUITE("memory_file") {

  TEST_CASE("memory_file: bytes of any size reach stdin, from the beginning at each start") {
    const leak_check leaks;
    // The largest is more than any pipe holds.
    for (const std::size_t size : {0U, 1U, 4096U, 65536U, 65537U, 5'000'000U}) {
      CAPTURE(size);
      const std::string bytes = pattern(size);
      const command cmd = steps({"echo"}).in(memory(bytes)).out(piped);
      CHECK((run(cmd).out == bytes));
      CHECK((run(cmd).out == bytes));
    }
  }

  TEST_CASE("memory_file: children that run at once read the bytes each from the beginning") {
    const leak_check leaks;
    const command cmd = steps({"echo:3", "warn:half", "byte:0", "echo"})
                            .in(memory("one two"))
                            .out(piped)
                            .err(piped);
    asio::io_context context;
    std::array<process, 2> both{process(context, cmd), process(context, cmd)};
    for (process& each : both) {
      CHECK(each.communicate().out == "onetwo");
    }
  }

  TEST_CASE("memory_file: a handle is lent to a child as any file") {
    const leak_check leaks;
    const unique_handle bytes = memory_file("some bytes");
    CHECK(run(steps({"echo"}).in(fd(bytes.get())).out(piped)).out == "some bytes");
    CHECK(run(steps({"say:x"}).out(fd(bytes.get())).err(null)).status.exit_code() == 99);
  }

  TEST_CASE("memory_file: its bytes show in no text and in no error") {
    const leak_check leaks;
    const command cmd = steps({"exit:3"}).in(memory(hidden));
    const auto silent = [](const std::string& text) {
      return text.find(hidden) == std::string::npos;
    };
    CHECK(silent(to_string(cmd)));
    CHECK(silent(spawn_error_of([&] { run(command(cmd).executable("no-such-program")); }).what()));
    CHECK(silent(spawn_error_of([&] { run(command(cmd).cwd("/no/such")); }).what()));
    try {
      run(command(cmd).check());
      FAIL("no exception");
    } catch (const called_process_error& error) {
      CHECK(silent(error.what()));
    }
  }

} // TEST_SUITE
