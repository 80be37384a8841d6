#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "own_process.hpp"
#include "platform.hpp"

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

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

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

// Starts as many operations as one process may have at once; returns how many. The child must
// neither read nor write.
int start_operations(asio::io_context& context, process& child, outcomes& all, bool communicate) {
  // The pipe is filled first: a write that is done at once would not be pending. A pipe on Windows
  // takes a write in the background; only one that is larger than the pipe surely stays there.
  for (bool full = communicate; !full;) {
    full = true;
    child.in().async_write_some(asio::buffer(write_this),
                                [&full, handler = all.handler()](error_code ec, std::size_t n) {
                                  if (ec) {
                                    handler(ec, n);
                                  } else {
                                    full = false;
                                  }
                                });
    context.poll();
    context.restart();
  }
  child.async_wait(all.handler());
  child.async_wait(1h, all.handler());
  child.async_stop({{0, 1h}}, all.handler());
  if (communicate) {
    child.async_communicate(write_this, 1h, all.handler());
    return 4;
  }
  child.out().async_read_some(asio::buffer(read_here), all.handler());
  child.err().async_read_some(asio::buffer(read_here), all.handler());
  return 6;
}

std::unique_ptr<process> ready_child(asio::io_context& context) {
  command cmd = steps({"say:ready", "stay"}).in(piped).out(piped).err(piped);
  if (platform_has(feature::pipe_size)) {
    cmd.pipe_size(4096);
  }
  auto child = std::make_unique<process>(context, cmd);
  CHECK(child->out().read_line() == "ready");
  return child;
}

} // namespace

TEST_SUITE("drop") {

  TEST_CASE("drop: detach leaves the child alone and reaps it when it ends [T34]") {
    const leak_check leaks;
    // A pipe for each: two that read one line from one pipe may share it.
    std::array<test_pipe, 2> in;
    std::array<test_pipe, 2> out;
    for (const std::size_t i : {0U, 1U}) {
      const bool by_call = i == 1;
      asio::io_context context;
      process child(context, steps({"echo:4"})
                                 .in(fd(in[i].read_end.get()))
                                 .out(fd(out[i].write_end.get()))
                                 .drop(by_call ? drop_policy::kill : drop_policy::detach));
      if (by_call) {
        child.detach();
      }
    }
    for (const std::size_t i : {0U, 1U}) {
      CHECK(write_text(in[i], "one\n"));
      CHECK(line_of(out[i].read_end.get()) == "one\n");
    }
    CHECK(eventually([] { return !has_children(); }));
  }

  TEST_CASE("drop: nobody has to run a loop for the dropped to be reaped [T34]") {
    const leak_check leaks;
    asio::io_context context;
    for (int i = 0; i < starts(200); ++i) {
      process(context, i % 2 ? unending_child() : steps({}));
    }
    CHECK(eventually([] { return !has_children(); }));
  }

  TEST_CASE("drop: what is pending ends with operation_aborted, each once [T34]") {
    const leak_check leaks;
    for (const bool communicate : {false, true}) {
      asio::io_context context;
      outcomes all;
      auto child = ready_child(context);
      const int started = start_operations(context, *child, all, communicate);
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
        auto child = ready_child(*context);
        const int started = start_operations(*context, *child, all, communicate);
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
        CHECK(child->wait() == killed());
        CHECK(child->communicate().status == killed());
        child.reset();
      }
    }
  }

  TEST_CASE("drop: a context that goes first leaves the drop policy in force [T34]") {
    const leak_check leaks;
    test_pipe out;
    {
      std::optional<asio::io_context> context(std::in_place);
      const process child(*context, unending_child().out(fd(out.write_end.get())));
      out.write_end.reset();
      context.reset();
      CHECK_FALSE(has_bytes(out.read_end.get()));
    }
    CHECK(line_of(out.read_end.get()).empty());
  }

  TEST_CASE(
      "drop: a handler that owns its process goes with the context, and the child too [T34]") {
    const leak_check leaks;
    test_pipe out;
    {
      asio::io_context context;
      auto child =
          std::make_shared<process>(context, unending_child().out(fd(out.write_end.get())));
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
        auto child = ready_child(context);
        const int started = start_operations(context, *child, all, true);
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
        check_part(run(this_case(each))); // to the end of its output, which the child has too
      }
      return;
    }
    const command cmd = steps({"stay"});
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
  }

} // TEST_SUITE
