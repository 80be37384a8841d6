#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "support.hpp"

#include <asio/io_context.hpp>

#include <string>
#include <thread>

using namespace subproc;
using namespace subproc::test;

TEST_SUITE("windows: handles") {
  TEST_CASE(
      "windows: no handle of a child gets into one that is started at the same moment [T53]") {
    const auto count_pipes = [] {
      return run(command(helper("handles")).out(piped).err(null).in(piped)).out;
    };
    const std::string alone = count_pipes();
    std::vector<std::thread> threads;
    std::atomic<int> others{0};
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 12; ++n) {
          others += count_pipes() == alone ? 0 : 1;
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(alone == "2\n");
    CHECK(others == 0);
  }

  TEST_CASE("windows: a handle that is not named is not inherited, whatever its flags") {
    const auto count_pipes = [](bool close_fds) {
      return std::stoi(
          run(command(helper("handles")).out(piped).in(null).err(null).close_fds(close_fds)).out);
    };
    const int inheritable = count_pipes(false); // this program's own streams may be pipes
    const plain_pipe ends = make_plain_pipe();
    const unique_handle reader(ends.reader);
    const unique_handle writer(ends.writer);
    make_inheritable(reader.get());
    make_inheritable(writer.get());
    CHECK(count_pipes(true) == 1);
    CHECK(count_pipes(false) == inheritable + 2);
  }

  TEST_CASE("windows: neither good nor failed starts leave a handle behind") {
    const auto all_ways = [] {
      asio::io_context context;
      for (int i = 0; i < 4; ++i) {
        CHECK(run(command(helper("steps"), "echo").input("x").capture_output()).out == "x");
        process child(context,
                      command(helper("steps"), "echo").in(piped).out(piped).process_group(0));
        child.async_communicate("y", [](error_code ec, const communicate_result& got) {
          CHECK_FALSE(ec);
          CHECK(got.out == "y");
        });
        context.run();
        context.restart();
        process dropped(context, command(helper("steps"), "echo").in(piped).err(piped));
        CHECK(dropped.poll() == std::nullopt);
      }
      for (int i = 0; i < 250; ++i) {
        CHECK_THROWS_AS(run(command("no-such-program-xyz").capture_output().input("x")),
                        spawn_error);
        CHECK_THROWS_AS(run(command(helper("steps")).out(file("Z:\\no\\such\\folder")).err(piped)),
                        spawn_error);
        CHECK_THROWS_AS(run(command(helper("steps")).out(piped).in(fd(nullptr))), spawn_error);
        CHECK_THROWS_AS(run(command(helper("steps")).cwd("no-such-folder").out(piped)),
                        spawn_error);
      }
    };
    all_ways(); // what the library, its threads and Wine open once
    const unsigned long before = handle_count();
    all_ways();
    // The reaper closes the last handles of what was dropped a moment later.
    CHECK(eventually([&] { return handle_count() <= before; }));
  }

  TEST_CASE("windows: after a thousand children there is no handle more") {
    const auto start = [](int count) {
      for (int i = 0; i < count; ++i) {
        REQUIRE(run(command(helper("leaves"), "0").in(piped).capture_output()).status.success());
      }
    };
    start(8);
    const unsigned long before = handle_count();
    start(1000);
    CHECK(handle_count() <= before);
  }
}
