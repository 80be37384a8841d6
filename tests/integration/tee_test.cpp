// tee: output that is captured and passed on.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "both_ways.hpp"
#include "children.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

using sink_to = subproc::tee; // unqualified it is also the system call

// Reads a pipe to its end on a thread of its own.
class reader {
public:
  explicit reader(test_pipe& pipe) : thread_([this, &pipe] { bytes_ = written_to(pipe); }) {}

  // The other ends have to be closed.
  const std::string& all() {
    thread_.join();
    return bytes_;
  }

private:
  std::string bytes_;
  std::thread thread_;
};

} // namespace

TEST_SUITE("tee") {

  TEST_CASE("tee: what is captured goes to the caller's own streams as well, each to its own") {
    const leak_check leaks;
    const watchdog guard;
    in_both_ways([](asio::io_context& context, way how) {
      test_pipe out;
      test_pipe err;
      std::optional<process> child;
      {
        const redirected as_stdout(1, out.write_end.get());
        const redirected as_stderr(2, err.write_end.get());
        child.emplace(context,
                      steps({"out:300000", "err:200000", "exit:4"}).out(sink_to()).err(sink_to()));
      }
      reader out_reader(out); // closes our end: the sink's is one of its own
      reader err_reader(err);
      const outcome done = communicate(context, *child, how);
      CHECK_FALSE(done.ec);
      CHECK(done.result.status == exit_status::from_code(4));
      CHECK((done.result.out == pattern(300'000)));
      CHECK((done.result.err == pattern(200'000)));
      CHECK((out_reader.all() == pattern(300'000))); // with their ends: the sinks are closed
      CHECK((err_reader.all() == pattern(200'000)));
      CHECK_FALSE(done.result.out_tee_error);
      CHECK_FALSE(done.result.err_tee_error);
    });
  }

  TEST_CASE("tee: a file is a sink, in each way to open it, and merged streams share theirs") {
    const leak_check leaks;
    const own_folder folder;
    const std::string log = folder / "log";
    const command cmd = steps({"say:1", "warn:2", "say:3"}).err(merge);
    for (int i = 0; i < 2; ++i) {
      CHECK(run(command(cmd).out(sink_to(file(log, open_mode::append)))).out == "1\n2\n3\n");
    }
    CHECK(folder.read("log") == "1\n2\n3\n1\n2\n3\n");
    CHECK(check_output(command(cmd).out(sink_to(file(log)))) == "1\n2\n3\n");
    CHECK(folder.read("log") == "1\n2\n3\n");
    CHECK(call(command(cmd).out(sink_to(file(folder / "other")))).success());
    CHECK(folder.read("other") == "1\n2\n3\n"); // though nothing is kept
  }

} // TEST_SUITE
