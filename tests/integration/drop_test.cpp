#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "own_process.hpp"

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/read.hpp>
#include <asio/read_until.hpp>
#include <asio/strand.hpp>
#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

command forever() { return command(helper("forever")); }

std::string line_of(int descriptor) {
  std::string line;
  for (char byte = 0; readable(descriptor) && ::read(descriptor, &byte, 1) == 1;) {
    line += byte;
    if (byte == '\n') {
      break;
    }
  }
  return line;
}

// What became of the handlers of some operations.
struct outcomes {
  int called = 0;
  int aborted = 0;
  std::shared_ptr<int> alive = std::make_shared<int>(); ///< each handler holds a copy

  long pending() const { return alive.use_count() - 1; }

  auto handler() {
    return [this, held = alive](error_code ec, auto&&...) {
      ++called;
      aborted += ec == asio::error::operation_aborted ? 1 : 0;
    };
  }
};

std::array<char, 16> read_here;
const std::string write_this(1 << 20, 'x'); // more than a pipe takes

// Starts as many operations as one process may have at once; returns how many. The child of `cmd`
// must neither read nor write, nor obey SIGTERM.
int start_operations(process& child, outcomes& all, bool communicate) {
  child.async_wait(all.handler());
  child.async_wait(1h, all.handler());
  child.async_stop(1h, all.handler());
  if (communicate) {
    child.async_communicate(write_this, 1h, all.handler());
    return 4;
  }
  // The pipe is filled first: a write that is done at once would not be pending.
  error_code full;
  while (!full) {
    const ssize_t n = ::write(child.in().native_handle(), write_this.data(), write_this.size());
    full = n < 0 ? error_code(errno, detail::system_category()) : error_code();
  }
  child.out().async_read_some(asio::buffer(read_here), all.handler());
  child.err().async_read_some(asio::buffer(read_here), all.handler());
  child.in().async_write_some(asio::buffer(write_this), all.handler());
  return 6;
}

// Ignores SIGTERM, and has done so once its stdout says so.
std::unique_ptr<process> stubborn(asio::io_context& context) {
  return std::make_unique<process>(context,
                                   shell("trap '' TERM; echo ready; exec \"$0\"", helper("forever"))
                                       .in(piped)
                                       .out(piped)
                                       .err(piped));
}

} // namespace

TEST_SUITE("drop") {

  TEST_CASE("drop: kill ends the whole scope, also who ignores SIGTERM [T34]") {
    const leak_check leaks;
    const watchdog guard;
    for (const bool session : {false, true}) {
      for (const launcher_kind kind :
           {launcher_kind::none, launcher_kind::vfork, launcher_kind::fork}) {
        test_pipe out;
        {
          asio::io_context context;
          command cmd = command(helper("family"), "ignores", "ignores")
                            .launcher(make_launcher(kind))
                            .out(fd(out.write_end.get()));
          const process child(context, session ? cmd.new_session() : cmd.process_group(0));
          CHECK_FALSE(line_of(out.read_end.get()).empty());
        }
        out.write_end.reset();
        CHECK(line_of(out.read_end.get()).empty()); // its end: leader and member are gone
        CHECK(eventually([] { return !has_children(); }));
      }
    }
  }

  TEST_CASE("drop: without a scope of its own the child alone is killed [T34]") {
    const leak_check leaks;
    test_pipe out;
    int member = 0;
    {
      asio::io_context context;
      const process child(
          context, command(helper("family"), "ignores", "obeys").out(fd(out.write_end.get())));
      member = std::stoi(line_of(out.read_end.get()));
    }
    out.write_end.reset();
    CHECK(eventually([] { return !has_children(); }));
    pollfd entry{out.read_end.get(), POLLIN, 0};
    CHECK(::poll(&entry, 1, 0) == 0); // the member holds it
    CHECK(::kill(member, SIGTERM) == 0);
    CHECK(line_of(out.read_end.get()).empty());
  }

  TEST_CASE("drop: terminate asks once, waits for nobody, and reaps whenever it ends [T34]") {
    const leak_check leaks;
    const watchdog guard; // a destructor that waits would wait for ever
    test_pipe in;
    test_pipe out;
    {
      asio::io_context context;
      const process child(
          context,
          shell("trap 'echo term' TERM; echo ready; until [ \"$line\" = end ]; do read line; done;"
                "echo end")
              .in(fd(in.read_end.get()))
              .out(fd(out.write_end.get()))
              .drop(drop_policy::terminate));
      CHECK(line_of(out.read_end.get()) == "ready\n");
    }
    out.write_end.reset();
    CHECK(line_of(out.read_end.get()) == "term\n");
    CHECK(has_children()); // it did not obey, and lives
    CHECK(::write(in.write_end.get(), "end\n", 4) == 4);
    CHECK(line_of(out.read_end.get()) == "end\n");
    CHECK(line_of(out.read_end.get()).empty());
    CHECK(eventually([] { return !has_children(); }));
  }

  TEST_CASE("drop: terminate reaches the whole scope [T34]") {
    const leak_check leaks;
    test_pipe out;
    {
      asio::io_context context;
      const process child(context, command(helper("family"), "obeys", "obeys")
                                       .out(fd(out.write_end.get()))
                                       .process_group(0)
                                       .drop(drop_policy::terminate));
      CHECK_FALSE(line_of(out.read_end.get()).empty());
    }
    out.write_end.reset();
    CHECK(line_of(out.read_end.get()).empty());
  }

  TEST_CASE("drop: detach leaves the child alone and reaps it when it ends [T34]") {
    const leak_check leaks;
    // A pipe for each: two that read one line from one pipe may share it.
    std::array<test_pipe, 2> in;
    std::array<test_pipe, 2> out;
    for (const std::size_t i : {0U, 1U}) {
      const bool by_call = i == 1;
      asio::io_context context;
      process child(context, shell("read line; echo \"$line\"")
                                 .in(fd(in[i].read_end.get()))
                                 .out(fd(out[i].write_end.get()))
                                 .drop(by_call ? drop_policy::kill : drop_policy::detach));
      if (by_call) {
        child.detach();
      }
    }
    for (const std::size_t i : {0U, 1U}) {
      CHECK(::write(in[i].write_end.get(), "one\n", 4) == 4);
      CHECK(line_of(out[i].read_end.get()) == "one\n");
    }
    CHECK(eventually([] { return !has_children(); }));
  }

  TEST_CASE("drop: nobody has to run a loop for the dropped to be reaped [T34]") {
    const leak_check leaks;
    asio::io_context context;
    for (int i = 0; i < times(200); ++i) {
      process(context, i % 2 ? forever() : command("true"));
    }
    CHECK(eventually([] { return !has_children(); }));
  }

  TEST_CASE("drop: what is pending ends with operation_aborted, each once [T34]") {
    const leak_check leaks;
    for (const bool communicate : {false, true}) {
      asio::io_context context;
      outcomes all;
      auto child = stubborn(context);
      CHECK(line_of(child->out().native_handle()) == "ready\n");
      const int started = start_operations(*child, all, communicate);
      context.poll();
      CHECK(all.called == 0);
      CHECK(all.pending() == started);
      child.reset();
      CHECK(all.called == 0); // not from inside the destructor
      context.run();
      CHECK(all.called == started);
      CHECK(all.aborted == started);
      CHECK(all.pending() == 0);
    }
  }

  TEST_CASE("drop: a context that goes first destroys the handlers, and the child stays usable "
            "without it [T34]") {
    const leak_check leaks;
    for (const bool communicate : {false, true}) {
      for (const bool polled : {false, true}) {
        std::optional<asio::io_context> context(std::in_place);
        outcomes all;
        auto child = stubborn(*context);
        CHECK(line_of(child->out().native_handle()) == "ready\n");
        const int started = start_operations(*child, all, communicate);
        if (polled) {
          context->poll();
        }
        CHECK(all.pending() == started);
        context.reset();
        CHECK(all.called == 0);
        CHECK(all.pending() == 0);

        CHECK(child->poll() == std::nullopt);
        CHECK_THROWS_AS(child->wait(1ms), timeout_expired);
        CHECK_THROWS_AS(child->communicate({}, 1ms), timeout_expired);
        child->kill();
        CHECK(child->wait() == exit_status::from_signal(SIGKILL));
        CHECK(child->communicate().status == exit_status::from_signal(SIGKILL));
        child.reset();
      }
    }
  }

  TEST_CASE("drop: the dropped are reaped also when no descriptor is free [T34]") {
    if (!in_own_process_without_sanitizer()) {
      return;
    }
    asio::io_context context;
    const rlimit few{40, 40};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    std::optional<process> child(std::in_place, context, forever().drop(drop_policy::detach));
    const pid_t pid = child->pid();
    std::vector<unique_handle> all;
    for (int taken = 0; (taken = ::open("/", O_PATH | O_CLOEXEC)) >= 0;) {
      all.emplace_back(taken);
    }
    child.reset(); // alive, so that somebody has to wait for it
    REQUIRE(::kill(pid, SIGKILL) == 0);
    CHECK(eventually([] { return !has_children(); }));
    all.clear();
    child.emplace(context, forever());
    child.reset();
    CHECK(eventually([] { return !has_children(); }));
  }

  TEST_CASE("drop: a context that goes first leaves the drop policy in force [T34]") {
    const leak_check leaks;
    test_pipe out;
    {
      std::optional<asio::io_context> context(std::in_place);
      const process child(*context, forever().out(fd(out.write_end.get())));
      out.write_end.reset();
      context.reset();
      pollfd entry{out.read_end.get(), POLLIN, 0};
      CHECK(::poll(&entry, 1, 0) == 0);
    }
    CHECK(line_of(out.read_end.get()).empty());
  }

  TEST_CASE(
      "drop: a handler that owns its process goes with the context, and the child too [T34]") {
    const leak_check leaks;
    test_pipe out;
    {
      asio::io_context context;
      auto child = std::make_shared<process>(context, forever().out(fd(out.write_end.get())));
      out.write_end.reset();
      child->async_wait([child](error_code, exit_status) { FAIL("called"); });
      child->async_communicate([child](error_code, const communicate_result&) { FAIL("called"); });
      child->async_stop(1h, asio::bind_executor(asio::make_strand(context),
                                                [child](error_code, const stop_result&) {}));
    }
    CHECK(line_of(out.read_end.get()).empty());
  }

  TEST_CASE("drop: a process dropped on a stopped context ends its operations when it runs [T34]") {
    const leak_check leaks;
    for (const bool runs_again : {false, true}) {
      outcomes all;
      {
        asio::io_context context;
        auto child = stubborn(context);
        CHECK(line_of(child->out().native_handle()) == "ready\n");
        const int started = start_operations(*child, all, true);
        context.poll();
        context.stop();
        child.reset();
        CHECK(all.called == 0);
        CHECK(eventually([] { return !has_children(); })); // reaped without the loop
        context.run();
        CHECK(all.called == 0);
        if (runs_again) {
          context.restart();
          context.run();
          CHECK(all.called == started);
          CHECK(all.aborted == started);
        }
      }
      CHECK(all.pending() == 0);
    }
  }

  TEST_CASE("drop: processes and contexts that die as statics, in each order, are safe [T34]") {
    const std::string order = own_part();
    if (order.empty()) {
      const leak_check leaks;
      const watchdog guard;
      for (const std::string each : {"process first", "context first", "context, pending"}) {
        test_pipe alive; // held by the child of the part
        check_part(run(this_case(each).map_fds({{9, alive.write_end.get()}})));
        alive.write_end.reset();
        CHECK(line_of(alive.read_end.get()).empty());
      }
      return;
    }
    const command cmd = forever().map_fds({{9, 9}});
    if (order == "process first") {
      static asio::io_context context;
      static process child(context, cmd);
      child.async_wait([](error_code, exit_status) {});
      context.poll();
    } else {
      static std::optional<process> child;
      static asio::io_context context;
      child.emplace(context, cmd);
      if (order == "context, pending") {
        child->async_wait([](error_code, exit_status) {});
        child->async_communicate([](error_code, const communicate_result&) {});
        context.poll();
      }
    }
    ::close(9);
  }

} // TEST_SUITE
