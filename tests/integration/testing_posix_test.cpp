// The manual clock, where a test has to make a pipe of its own.

#include <subproc/testing.hpp>

#include <subproc/subproc.hpp>

#include "both_ways.hpp"
#include "children.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include <fcntl.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

/// Its children leave their stdout to somebody who lives on, as a daemon would.
class daemons final : public launcher {
public:
  explicit daemons(std::shared_ptr<launcher> starts) : starts_(std::move(starts)) {}

  launched_child start(const command& cmd) override {
    launched_child started = starts_->start(cmd);
    REQUIRE(::fcntl(pipe_.read_end.get(), F_SETFL, O_NONBLOCK) == 0);
    started.out = std::move(pipe_.read_end);
    return started;
  }

private:
  std::shared_ptr<launcher> starts_;
  test_pipe pipe_;
};

} // namespace

TEST_SUITE("testing") {

  TEST_CASE("testing: the drain after an exit ends by the clock") {
    const leak_check leaks;
    const watchdog guard;
    in_both_ways([](asio::io_context& loop, way how) {
      testing::manual_clock clock;
      const auto fake = std::make_shared<testing::fake_launcher>(clock);
      fake->on(command("starts"), testing::script());
      process child(loop, command("starts").out(piped).drain_timeout(1h).launcher(
                              std::make_shared<daemons>(fake)));
      std::thread other([&] {
        if (eventually([&] { return clock.waiting() == 1; })) {
          clock.advance(1h);
        }
      });
      const outcome done = communicate(loop, child, how);
      other.join();
      CHECK_FALSE(done.ec);
      CHECK(done.result.pipes_held);
      CHECK(clock.now() == 1h);
    });
  }

} // TEST_SUITE
