// What is another way on Windows: cmd.exe is the shell, options of CreateProcess, trees of
// processes, batch files.

#include <subproc/subproc.hpp>

#include <asio/io_context.hpp>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

using namespace std::chrono_literals;

namespace {

// cmd.exe by its full path; its lines end with "\r\n".
bool shell_text() {
  const std::string text =
      subproc::normalise_newlines(subproc::check_output(subproc::shell("echo hello&& echo you")));
  std::cout << text;
  return text == "hello\nyou\n";
}

// No window, a low priority, and a job object that ends it and all below it with this program.
bool helper_in_the_background() {
  asio::io_context context;
  subproc::process pings(
      context,
      subproc::command("ping", "-n", "60", "127.0.0.1")
          .out(subproc::null)
          .process_group(0)
          .die_with_parent()
          .with(subproc::windows{.creation_flags = subproc::windows::create_no_window,
                                 .priority = subproc::windows::below_normal_priority_class}));
  const subproc::stop_result end = pings.stop(0s); // CTRL_BREAK, then the end of the job
  std::cout << "ping " << end.status << '\n';
  return end.survivors.empty() && !end.status.success();
}

// A batch file is run by cmd.exe, which may take an argument for a command of its own: such a start
// is refused, however it is quoted.
bool batch_file() {
  const auto batch =
      std::filesystem::temp_directory_path() /
      ("example-" + std::to_string(subproc::run(subproc::shell("exit 0")).pid) + ".bat");
  std::ofstream(batch) << "@echo got %1\n";
  const std::string text = subproc::check_output(subproc::command(batch, "plain"));
  bool refused = false;
  try {
    subproc::run(subproc::command(batch, "a&calc"));
  } catch (const subproc::spawn_error& error) {
    std::cout << error.what() << '\n';
    refused = true;
  }
  std::filesystem::remove(batch);
  return refused && text.starts_with("got plain");
}

} // namespace

int main() { return shell_text() && helper_in_the_background() && batch_file() ? 0 : 1; }
