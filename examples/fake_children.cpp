// A program's own function, and a test of it without the programs that it starts.

#include <subproc/subproc.hpp>
#include <subproc/testing.hpp>

#include <iostream>
#include <memory>
#include <string>

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
  } catch (const subproc::spawn_error& error) {
    return "missing: " + error.path();
  }
}

// The test.
bool deploy_is_right() {
  const auto fake = std::make_shared<subproc::testing::fake_launcher>();
  const subproc::testing::use_launcher everywhere(fake);
  bool right = deploy("1.0") == "missing: git";

  fake->on({"git"}, subproc::testing::script().err("no network\n").exit(128));
  right = right && deploy("1.1") == "failed: git";

  fake->on({"git", "fetch"}, subproc::testing::script());
  fake->on({"deployer"}, subproc::testing::script().read().out("done\n"));
  right = right && deploy("1.2") == "deployed 1.2";
  return right && fake->calls().back().input == "1.2" && fake->calls().size() == 4;
}

} // namespace

int main() {
  const bool right = deploy_is_right();
  std::cout << (right ? "as promised\n" : "not as promised\n");
  return right ? 0 : 1;
}
