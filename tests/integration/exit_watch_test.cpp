// How exits are learned, when many come at once.

#include <subproc/process.hpp>

#include "children.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

using namespace subproc;
using namespace subproc::test;

TEST_SUITE("exit_watch") {

  TEST_CASE("exit_watch: children that end all at once on four loops are all seen [T28]") {
    const leak_check leaks;
    const watchdog guard;
    constexpr int count = starts(times(200));
    test_pipe gate;
    std::array<asio::io_context, 4> contexts;
    std::vector<process> children;
    std::atomic<int> seen = 0;
    for (int i = 0; i < count; ++i) {
      asio::io_context& context = contexts[static_cast<std::size_t>(i) % contexts.size()];
      children.emplace_back(context, steps({"byte:0", "exit:7"}).in(fd(gate.read_end.get())));
      children.back().async_wait(
          [&seen](error_code, exit_status status) { seen += status.exit_code() == 7 ? 1 : 0; });
    }
    std::vector<std::thread> threads;
    for (asio::io_context& context : contexts) {
      threads.emplace_back([&context] { context.run(); });
    }
    gate.write_end.reset();
    for (std::thread& each : threads) {
      each.join();
    }
    CHECK(seen == count);
  }

} // TEST_SUITE
