// What can go wrong, and what each error tells.

#include <subproc/subproc.hpp>

#include <iostream>

using namespace std::chrono_literals;

int main() {
  try {
    subproc::run({"no-such-program"});
  } catch (const subproc::spawn_error& error) {
    std::cout << "step " << to_string(error.step()) << ", " << error.path() << ", errno "
              << error.code().value() << '\n';
  }
  try {
    subproc::run(subproc::command("sh", "-c", "echo why >&2; exit 4").capture_output().check());
  } catch (const subproc::called_process_error& error) {
    std::cout << error.what() << "; it said: " << error.result().err;
  }
  try {
    subproc::run(subproc::command("sh", "-c", "echo half; sleep 60")
                     .out(subproc::piped)
                     .process_group(0)
                     .timeout(200ms));
  } catch (const subproc::timeout_expired& error) {
    std::cout << error.what() << "; until then: " << error.result().out;
  }
}
