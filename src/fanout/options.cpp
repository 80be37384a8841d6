#include "options.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iterator>

namespace fanout {
namespace {

constexpr int bad_usage = 255;

} // namespace

parsed parse(int argc, char** argv) {
  options chosen;
  CLI::App app{
      "Runs a command for each item: of the arguments after ':::', else of the lines of stdin.\n"
      "No shell is between. {} is the item, {.} without extension, {/} its last part, {//} its\n"
      "folder, {#} the job's number; without any, the item is appended.",
      "fanout"};
  app.set_version_flag("--version", "fanout 0.1.0");
  app.prefix_command(); // the command's own options are the command's
  app.add_flag("-0,--null", chosen.null_separated, "Items on stdin end with a NUL byte");
  app.add_option("-j,--jobs", chosen.jobs, "How many at once (0: one a core)");
  app.add_option("--timeout", chosen.timeout, "Seconds after which a job is killed")
      ->check(CLI::PositiveNumber);
  app.add_option("--grace", chosen.grace, "Seconds from SIGTERM to SIGKILL after Ctrl-C")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--max-output", chosen.max_output,
                 "Bytes a job may write to each of stdout and stderr before it is killed")
      ->capture_default_str();
  app.add_flag("-k,--keep-order", chosen.keep_order, "Output in the order of the items");
  app.add_option("--joblog", chosen.joblog, "A line for each job, as GNU parallel's");
  app.add_flag("--shell", chosen.shell, "The command is a script for /bin/sh; items are quoted");
  app.add_flag("--dry-run", chosen.dry_run, "Print the commands, run nothing");
  app.add_flag("--bar", chosen.bar, "A progress bar even when stderr is no terminal");
  app.add_flag("-q,--quiet", chosen.quiet, "No bar, no summary, no words about failed jobs");
  app.footer("Exit code: 0 all well, 1 to 100 so many jobs failed, 101 more, 130 interrupted, 143\n"
             "terminated, 255 bad usage or an error of fanout's own.");

  // CLI11 would take ':::' for a word like any other; what follows it is not for it.
  char** const separator = std::find_if(argv + 1, argv + argc,
                                        [](const char* word) { return !std::strcmp(word, ":::"); });
  if (separator != argv + argc) {
    chosen.items.emplace(separator + 1, argv + argc);
  }
  try {
    app.parse(static_cast<int>(separator - argv), argv);
  } catch (const CLI::ParseError& error) {
    return {std::nullopt, app.exit(error) == 0 ? 0 : bad_usage};
  }
  chosen.words = app.remaining();
  if (!chosen.words.empty() && chosen.words.front() == "--") {
    chosen.words.erase(chosen.words.begin());
  }
  if (chosen.words.empty()) {
    std::fputs("fanout: no command was given; try --help\n", stderr);
    return {std::nullopt, bad_usage};
  }
  return {std::move(chosen), 0};
}

} // namespace fanout
