// Shows a child's output as it comes, keeps a log of it, and has all of it in the result.

#include <subproc/subproc.hpp>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

using namespace std::chrono_literals;

int main() {
  const std::string name =
      "tee-example-" + std::to_string(subproc::run(subproc::shell("exit 0")).pid) + ".log";
  const std::string log = (std::filesystem::temp_directory_path() / name).string();
  const subproc::completed_process build = subproc::run(
      subproc::shell("echo compiling&& echo a warning>&2&& echo linking")
          .out(subproc::tee())                                               // to our own stdout
          .err(subproc::tee(subproc::file(log, subproc::open_mode::append))) // and to a log
          .ordered_output()
          .inactivity_timeout(1min)); // a child that hangs is silent
  std::cout << build.ordered_text("  out: ", "  err: ");

  std::ostringstream logged;
  logged << std::ifstream(log, std::ios::binary).rdbuf();
  std::filesystem::remove(log);
  const auto lines = subproc::normalise_newlines(build.out);
  const bool right = build.status.success() && lines == "compiling\nlinking\n" &&
                     build.err.starts_with("a warning") && logged.str() == build.err &&
                     !build.out_tee_error && !build.err_tee_error;
  std::cout << (right ? "all of it, thrice\n" : "something is missing\n");
  return right ? 0 : 1;
}
