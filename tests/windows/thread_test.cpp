#include "platform.hpp"
#include "support.hpp"
#include "system.hpp"

#include <atomic>
#include <thread>
#include <vector>

using namespace subproc::detail;

TEST_SUITE("windows thread") {
  // MinGW's std::thread that was detached while it started was not run at all, or ran nothing.
  TEST_CASE("windows thread: each that starts in the background does its work") {
    std::atomic<bool> lost = false;
    std::vector<std::thread> starters;
    for (int i = 0; i < 4; ++i) {
      starters.emplace_back([&] {
        for (int n = 0; n < 200 && !lost; ++n) {
          const owned_handle done(::CreateEventW(nullptr, TRUE, FALSE, nullptr));
          start_background_thread([event = done.get()] { ::SetEvent(event); });
          if (::WaitForSingleObject(done.get(), 30'000) != WAIT_OBJECT_0) {
            lost = true;
          }
        }
      });
    }
    for (std::thread& each : starters) {
      each.join();
    }
    CHECK_FALSE(lost);
  }
}
