#include "options.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>

namespace fanout {
namespace {

constexpr int bad_usage = 255;
constexpr std::size_t most_jobs = 100'000;

// CLI11 takes "-1" and "" for a size, and nan for a number of seconds.
std::string check_size(const std::string& text, std::size_t most) {
  std::size_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool fine = ec == std::errc() && end == text.data() + text.size() && value <= most;
  return fine ? "" : fmt::format("'{}' is no whole number from 0 to {}", text, most);
}

std::string check_seconds(const std::string& text, bool may_be_zero) {
  double value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool fine = ec == std::errc() && end == text.data() + text.size() && std::isfinite(value) &&
                    (value > 0 || (may_be_zero && value == 0));
  return fine ? ""
              : fmt::format("'{}' is no number of seconds{}", text, may_be_zero ? "" : " above 0");
}

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
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return fmt::format("fanout: {}; try --help\n", error.what());
  });
  app.add_option("-j,--jobs", chosen.jobs, "How many at once (0: one a core)")
      ->check([](const std::string& text) { return check_size(text, most_jobs); });
  app.add_option("--timeout", chosen.timeout, "Seconds after which a job is killed")
      ->check([](const std::string& text) { return check_seconds(text, false); });
  app.add_option("--grace", chosen.grace, "Seconds from SIGTERM to SIGKILL after Ctrl-C")
      ->check([](const std::string& text) { return check_seconds(text, true); })
      ->capture_default_str();
  app.add_option("--max-output", chosen.max_output,
                 "Bytes a job may write to each of stdout and stderr before it is killed")
      ->check([](const std::string& text) { return check_size(text, SIZE_MAX); })
      ->capture_default_str();
  app.add_flag("-k,--keep-order", chosen.keep_order, "Output in the order of the items");
  app.add_option("--joblog", chosen.joblog, "A line for each job, as GNU parallel's")
      ->check([](const std::string& text) { return text.empty() ? "a file name is missing" : ""; });
  app.add_flag("--shell", chosen.shell, "The command is a script for /bin/sh; items are quoted");
  app.add_flag("--dry-run", chosen.dry_run, "Print the commands, run nothing");
  app.add_flag("--bar", chosen.bar, "A progress bar even when stderr is no terminal");
  app.add_flag("-q,--quiet", chosen.quiet, "No bar, no summary, no words about failed jobs");
  app.footer("Exit code: 0 all well, 1 to 100 so many jobs failed, 101 more, 128+N stopped by\n"
             "signal N (130 Ctrl-C, 143 SIGTERM), 255 bad usage or an error of fanout's own.");

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
  } else if (!chosen.words.empty() && chosen.words.front().starts_with('-')) {
    std::fprintf(stderr, "fanout: no option '%s'; a command of that name goes after '--'\n",
                 chosen.words.front().c_str());
    return {std::nullopt, bad_usage};
  }
  if (chosen.words.empty()) {
    std::fputs("fanout: no command was given; try --help\n", stderr);
    return {std::nullopt, bad_usage};
  }
  return {std::move(chosen), 0};
}

} // namespace fanout
