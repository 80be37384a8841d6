// A program's own function, and a test of it without the programs that it starts and without
// waiting for its time-outs.

#include <subproc/subproc.hpp>
#include <subproc/testing.hpp>

#include <future>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

using namespace std::chrono_literals;

namespace {

// The program: it knows nothing of tests.
std::string deploy(const std::string& version) {
  try {
    subproc::run(subproc::command("git", "fetch", "--tags").timeout(1min).check());
    subproc::run(subproc::command("deployer", "push").input(version).timeout(1h).check());
    return "deployed " + version;
  } catch (const subproc::called_process_error& error) {
    return "failed: " + error.result().cmd.args().front();
  } catch (const subproc::timeout_expired& error) {
    return "too slow: " + error.result().cmd.args().front();
  } catch (const subproc::spawn_error& error) {
    return "missing: " + error.path();
  }
}

// The test.
bool deploy_is_right() {
  subproc::testing::manual_clock clock;
  const auto fake = std::make_shared<subproc::testing::fake_launcher>(clock);
  const subproc::testing::use_launcher everywhere(fake);
  bool right = deploy("1.0") == "missing: git";

  fake->on({"git"}, subproc::testing::script().err("no network\n").exit(128));
  right = right && deploy("1.1") == "failed: git";

  fake->on({"git", "fetch"}, subproc::testing::script());
  fake->on({"deployer"}, subproc::testing::script().read().out("done\n"));
  right = right && deploy("1.2") == "deployed 1.2";
  right = right && fake->calls().back().input == "1.2" && fake->calls().size() == 4;

  // Its hour passes when the test says so.
  fake->on({"deployer"}, subproc::testing::script().delay(2h));
  auto slow = std::async(std::launch::async, [] { return deploy("1.3"); });
  while (clock.waiting() < 2) { // the delay and the time-out
    std::this_thread::yield();
  }
  clock.advance(1h);
  return right && slow.get() == "too slow: deployer";
}

} // namespace

int main() {
  const bool right = deploy_is_right();
  std::cout << (right ? "as promised\n" : "not as promised\n");
  return right ? 0 : 1;
}
