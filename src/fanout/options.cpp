#include "options.hpp"

#include "machine.hpp"
#include "pages.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstring>
#include <iterator>
#include <memory>
#include <string_view>
#include <utility>

namespace fanout {
namespace {

constexpr std::size_t most_jobs = 100'000;

// CLI11 takes "-1" and "" for a size, and nan for a number of seconds.
template <class Number>
std::optional<Number> whole(std::string_view text) {
  Number value{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return ec == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                               : std::nullopt;
}

std::optional<double> number_from_0(std::string_view text) {
  const auto value = whole<double>(text);
  return value && std::isfinite(*value) && *value >= 0 ? value : std::nullopt;
}

std::optional<double> percent(std::string_view text) {
  return text.ends_with('%') ? number_from_0(text.substr(0, text.size() - 1)) : std::nullopt;
}

[[noreturn]] void refuse(const std::string& why) { throw CLI::ValidationError(why); }

double seconds(const std::string& text, bool may_be_zero) {
  const auto value = number_from_0(text);
  if (!value || (*value == 0 && !may_be_zero)) {
    refuse(fmt::format("'{}' is no number of seconds{}", text, may_be_zero ? "" : " above 0"));
  }
  return *value;
}

std::size_t size_up_to(const std::string& text, std::size_t most) {
  const auto value = whole<std::size_t>(text);
  if (!value || *value > most) {
    refuse(fmt::format("'{}' is no whole number from 0 to {}", text, most));
  }
  return *value;
}

std::uint64_t bytes(std::string_view text) {
  const std::string_view units = "KMGT";
  const std::size_t unit =
      text.empty() ? units.npos : units.find(static_cast<char>(text.back() & ~0x20));
  const auto value = number_from_0(text.substr(0, text.size() - (unit == units.npos ? 0 : 1)));
  if (!value || *value >= 0x1p50) {
    refuse(fmt::format("'{}' is no size such as 500M or 2G", text));
  }
  return static_cast<std::uint64_t>(
      std::ldexp(*value, unit == units.npos ? 0 : 10 * (static_cast<int>(unit) + 1)));
}

std::size_t jobs(const std::string& text) {
  if (const auto share = percent(text)) {
    const auto count = static_cast<std::size_t>(std::lround(*share / 100 * processors()));
    return std::clamp<std::size_t>(count, 1, most_jobs);
  }
  return size_up_to(text, most_jobs);
}

double load(const std::string& text) {
  if (!processes_that_run()) {
    refuse("this system does not tell its load");
  }
  const auto share = percent(text);
  const auto value = share ? std::optional(*share / 100 * processors()) : number_from_0(text);
  if (!value || *value == 0) {
    refuse(fmt::format("'{}' is no number of processes above 0, and no percentage", text));
  }
  return *value;
}

char single_byte(const std::string& text) {
  constexpr std::pair<std::string_view, char> names[] = {
      {"\\0", '\0'}, {"\\n", '\n'}, {"\\t", '\t'}, {"\\\\", '\\'}};
  const auto found = std::ranges::find(names, text, [](const auto& each) { return each.first; });
  if (found == std::end(names) && text.size() != 1) {
    refuse(fmt::format("'{}' is no single byte, nor \\0, \\n, \\t or \\\\", text));
  }
  return found == std::end(names) ? text.front() : found->second;
}

std::vector<std::string> parts_of(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

subproc::failure_kind failures(const std::string& text) {
  using kind = subproc::failure_kind;
  constexpr std::pair<std::string_view, kind> names[] = {
      {"fail", kind::status | kind::signal},
      {"status", kind::status},
      {"signal", kind::signal},
      {"timeout", kind::timeout},
      {"spawn", kind::spawn},
      {"output", kind::output},
  };
  kind all = kind::none;
  for (const std::string& name : parts_of(text, ',')) {
    const auto found = std::ranges::find(names, name, [](const auto& each) { return each.first; });
    if (found == std::end(names)) {
      refuse(fmt::format("'{}' is none of fail, status, signal, timeout, spawn, output", name));
    }
    all = all | found->second;
  }
  return all;
}

// As GNU parallel: never, or when,why=value: soon,fail=1 now,success=3 now,fail=20%.
subproc::halt_policy halt(const std::string& text) {
  using policy = subproc::halt_policy;
  policy chosen;
  if (text == "never") {
    return chosen;
  }
  const std::size_t comma = text.find(',');
  const std::size_t equals = text.find('=');
  const std::string when = text.substr(0, comma);
  const std::string why =
      comma < equals && equals != text.npos ? text.substr(comma + 1, equals - comma - 1) : "";
  const std::string value = equals == text.npos ? "" : text.substr(equals + 1);
  const auto count = whole<std::uint64_t>(value);
  chosen.percent = percent(value);
  if ((when != "now" && when != "soon") || (why != "fail" && why != "success" && why != "done") ||
      (!count && !chosen.percent) || (count && *count == 0) ||
      (chosen.percent && (*chosen.percent == 0 || *chosen.percent > 100))) {
    refuse(fmt::format(
        "'{}' is neither 'never' nor such as now,fail=1 soon,fail=20% now,success=3 soon,done=9",
        text));
  }
  chosen.what = when == "now" ? policy::action::now : policy::action::soon;
  chosen.on = why == "fail"      ? policy::outcome::failed
              : why == "success" ? policy::outcome::succeeded
                                 : policy::outcome::done;
  chosen.count = count.value_or(1);
  return chosen;
}

subproc::resource_limit limit(const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const std::string value = equals == text.npos ? "" : text.substr(equals + 1);
  if (!subproc::find_resource(name)) {
    refuse(fmt::format("'{}' is no limit; there are nofile, as, cpu, fsize and others", name));
  }
  const auto most = value == "unlimited" ? subproc::unlimited : bytes(value);
  return {name, most, most};
}

// A name in small letters that setrlimit knows is a limit, any other one a variable alone.
per_try values_by_try(const std::string& text) {
  const std::size_t equals = text.find('=');
  per_try chosen{text.substr(0, equals), {}, {}};
  const bool named = !chosen.name.empty() && std::ranges::all_of(chosen.name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_';
  }) && std::isdigit(static_cast<unsigned char>(chosen.name.front())) == 0;
  if (!named || equals == text.npos || chosen.name.starts_with("FANOUT_")) {
    refuse(fmt::format("'{}' is nothing such as as=2G,4G,8G or MEMORY=2,4,8", text));
  }
  chosen.values = parts_of(text.substr(equals + 1), ',');
  const auto known = subproc::find_resource(chosen.name);
  if (known && chosen.name == subproc::to_string(*known)) {
    for (const std::string& value : chosen.values) {
      chosen.limits.push_back(limit(chosen.name + '=' + value).soft);
    }
  }
  return chosen;
}

/// The inputs, and where they begin.
char** find_inputs(char** from, char** end, std::vector<input>& inputs) {
  const auto separator = [](const char* word) {
    return std::string_view(word).starts_with(":::") && std::strspn(word, ":") <= 4 &&
           (word[std::strspn(word, ":")] == '\0' ||
            !std::strcmp(word + std::strspn(word, ":"), "+"));
  };
  char** const first = std::find_if(from, end, separator);
  for (char** at = first; at != end;) {
    char** const next = std::find_if(at + 1, end, separator);
    inputs.push_back(
        {{at + 1, next}, std::strspn(*at, ":") == 4, std::strchr(*at, '+') != nullptr});
    at = next;
  }
  return first;
}

/// Calls a function of ours, which refuses, for what is said of an option.
template <class Read>
void read_value(const std::string& names, const std::string& text, Read read) {
  try {
    read(text);
  } catch (const CLI::ValidationError& error) {
    throw CLI::ValidationError(names.substr(names.rfind(',') + 1), error.what());
  }
}

template <class Read>
CLI::Option* add(CLI::App& app, const std::string& names, const std::string& what, Read read) {
  return app
      .add_option_function<std::string>(
          names, [read, names](const std::string& text) { read_value(names, text, read); }, what)
      ->type_name("");
}

/// The same for an option that may come several times.
template <class Read>
CLI::Option* add_list(CLI::App& app, const std::string& names, const std::string& what, Read read) {
  const auto all = [read, names](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      read_value(names, text, read);
    }
  };
  return app.add_option_function<std::vector<std::string>>(names, all, what)
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false)
      ->type_name("");
}

/// What is put together when all options are read.
struct unfinished {
  options chosen{};
  std::vector<input> from_files{}; ///< by -a
  bool retries_given = false;
};

/// Reads a file name.
auto file(std::string& to) {
  return [&to](const std::string& text) {
    if (text.empty()) {
      refuse("a file name is missing");
    }
    to = text;
  };
}

void add_usual_options(CLI::App& app, unfinished& what) {
  options& chosen = what.chosen;
  app.add_flag_callback(
      "-0,--null", [&] { chosen.item_end = '\0'; }, "Items end with a NUL byte");
  add(app, "-j,--jobs", "How many at once: N, N% of the cores (default: one a core)",
      [&](const std::string& text) { chosen.jobs = jobs(text); });
  add(app, "--timeout", "Seconds after which a job is killed, or N% of the median so far",
      [&](const std::string& text) {
        if (const auto share = percent(text); share && *share > 0) {
          chosen.timeout_factor = *share / 100;
        } else {
          chosen.timeout = seconds(text, false);
        }
      });
  add(app, "--retries", "Further tries of a job that fails", [&](const std::string& text) {
    chosen.retry.retries = static_cast<unsigned>(size_up_to(text, 1000));
    what.retries_given = true;
  });
  add(app, "--halt", "Stop early: now,fail=1 soon,fail=20% now,success=3 …",
      [&](const std::string& text) { chosen.halt = halt(text); });
  app.add_flag("-k,--keep-order", chosen.keep_order, "Output in the order of the items");
  app.add_flag("--tag", chosen.tag, "Each line of output begins with its items");
  add(app, "--joblog", "A line for each job, as GNU parallel's", file(chosen.joblog));
  app.add_flag("--resume", chosen.resume, "Leave out the jobs that --joblog has");
  app.add_flag("--resume-failed", chosen.resume_failed, "Leave out those that went well there");
  app.add_flag("--shell", chosen.shell, "The command is a script for the shell; items are quoted");
  app.add_flag("--dry-run", chosen.dry_run, "Print the commands, run nothing");
  app.add_flag("-q,--quiet", chosen.quiet, "No bar, no summary, no words about failed jobs");
}

void add_input_options(CLI::App& app, unfinished& what, const std::string& group) {
  options& chosen = what.chosen;
  const auto rare = [&](CLI::Option* option) { return option->group(group); };
  rare(add(app, "-n,--max-args", "So many items a job",
           [&](const std::string& text) { chosen.items_a_job = size_up_to(text, 1'000'000); }));
  rare(app.add_flag("-m,--xargs", chosen.fill,
                    "As many items a job as a command line has room for"));
  rare(add_list(app, "-a,--arg-file", "As '::::' with this file; - is stdin",
                [&](const std::string& text) {
                  if (text.empty()) {
                    refuse("a file name is missing");
                  }
                  what.from_files.push_back({{text}, true});
                }));
  rare(add(app, "-d,--delimiter", "Items end with this byte; \\t, \\0 …",
           [&](const std::string& text) { chosen.item_end = single_byte(text); }))
      ->excludes("--null");
  rare(add(app, "-C,--colsep", "Items have columns {1} {2} …, parted by this",
           [&](const std::string& text) {
             if (text.empty()) {
               refuse("it is empty");
             }
             chosen.column_separator = text == "\\t" ? "\t" : text;
           }));
  rare(app.add_flag("--csv", chosen.csv, "Items are comma-separated values (RFC 4180)"));
  rare(app.add_flag("--header", chosen.header, "The first item names the columns: {name}"));
  rare(
      app.add_flag("--pipe", chosen.pipe, "Jobs get blocks of stdin on theirs, cut behind a line"));
  rare(add(app, "--block", "Bytes of such a block, at least (1M)", [&](const std::string& text) {
    chosen.block = static_cast<std::size_t>(bytes(text));
    if (chosen.block == 0) {
      refuse("it is 0");
    }
  }));
}

void add_running_options(CLI::App& app, unfinished& what, const std::string& group) {
  options& chosen = what.chosen;
  const auto rare = [&](CLI::Option* option) { option->group(group); };
  rare(add(app, "--load", "Start nothing while so many processes run: N, N% of the cores",
           [&](const std::string& text) { chosen.load = load(text); }));
  rare(add(app, "--memfree", "Start nothing while less memory is free: 500M, 2G",
           [&](const std::string& text) { chosen.free_memory = bytes(text); }));
  rare(app.add_flag_callback(
      "--adaptive",
      [&] {
        if (!stalled()) {
          throw CLI::ValidationError("--adaptive", "this system does not tell what stalls");
        }
        chosen.adaptive = true;
      },
      "Fewer at once while memory or storage stall the machine"));
  rare(add(app, "--delay", "Seconds between two starts", [&](const std::string& text) {
    const double pause = seconds(text, true);
    chosen.rate = pause > 0 ? 1 / pause : 0;
  }));
  rare(add(app, "--rate", "Starts a second", [&](const std::string& text) {
    const auto value = number_from_0(text);
    if (!value || *value == 0) {
      refuse(fmt::format("'{}' is no number above 0", text));
    }
    chosen.rate = *value;
  }));
  rare(add(app, "--retry-on", "Which failures: fail,timeout,signal,status,spawn,output",
           [&](const std::string& text) { chosen.retry.on = failures(text); }));
  rare(add(app, "--retry-delay", "Seconds before the second try; doubles with each further one",
           [&](const std::string& text) {
             chosen.retry.delay = std::chrono::duration<double>(seconds(text, true));
           }));
  rare(add_list(app, "--retry-with",
                "NAME=V1,V2,…: a variable, {NAME} or limit (as=2G,4G) of each try",
                [&](const std::string& text) { chosen.by_try.push_back(values_by_try(text)); }));
  rare(add(app, "--grace", "Seconds from SIGTERM to SIGKILL after Ctrl-C (5)",
           [&](const std::string& text) { chosen.grace = seconds(text, true); }));
  rare(add(app, "--max-output",
           "Bytes a job may write to each of stdout and stderr before it is killed (67108864)",
           [&](const std::string& text) { chosen.max_output = size_up_to(text, SIZE_MAX); }));
  rare(app.add_flag("--line-buffer", chosen.by_line, "Output line by line, as it comes"));
  rare(app.add_flag("-u,--ungroup", chosen.ungrouped, "Jobs write straight to fanout's outputs"));
  rare(app.add_flag_callback(
      "--group", [&] { chosen.by_line = chosen.ungrouped = false; },
      "Output of a job when it has ended, whole (the default)"));
  rare(add(app, "--nice", "Niceness of the jobs, 0 to 19",
           [&](const std::string& text) { chosen.nice = static_cast<int>(size_up_to(text, 19)); }));
  rare(add_list(app, "--limit", "NAME=VALUE: a resource limit of each job (nofile=100, as=2G)",
                [&](const std::string& text) { chosen.limits.push_back(limit(text)); }));
  rare(add(app, "--workdir", "The folder in which jobs run", file(chosen.folder)));
}

void add_record_options(CLI::App& app, unfinished& what, const std::string& group) {
  options& chosen = what.chosen;
  const auto rare = [&](CLI::Option* option) { option->group(group); };
  rare(
      add(app, "--results", "A folder for each job's output, by its number", file(chosen.results)));
  rare(add(app, "--json", "A line of JSON for each job; - for stdout", file(chosen.json)));
  rare(add(app, "--trace", "A timeline that browsers' tracing pages show", file(chosen.trace)));
  rare(add(app, "--report", "A page (HTML) about all jobs: timeline, run times, what failed",
           file(chosen.report)));
  rare(add(app, "--junit", "Each job as a test case, in JUnit's XML", file(chosen.junit)));
  rare(add(app, "--completion", "A script for bash, zsh or fish that completes these options",
           [](const std::string&) {}));
  rare(app.add_flag_callback(
      "--man", [] {}, "The page for man: fanout --man | man -l -"));
  rare(app.add_flag("--bar", chosen.bar, "A progress bar even when stderr is no terminal"));
  rare(app.add_flag("--eta", chosen.eta,
                    "The time left; a line now and then when stderr is no terminal"));
}

void add_options(CLI::App& app, unfinished& what, bool all) {
  const std::string more = all ? "More options" : ""; // no group: not shown
  add_usual_options(app, what);
  add_input_options(app, what, more);
  add_running_options(app, what, more);
  add_record_options(app, what, more);
}

constexpr const char* about =
    "Runs a command for each item: of the arguments after ':::' (or in the files after '::::'),\n"
    "else of the lines of stdin. No shell is between. {} is the item, {.} without extension, {/}\n"
    "its last part, {//} its folder, {1} {2} … its columns or those of several ':::', {#} the\n"
    "job's number, {%} its slot; without any, the item is appended.";
constexpr const char* exit_codes =
    "Exit code: 0 all well, 1 to 100 so many jobs failed, 101 more, 128+N stopped by\n"
    "signal N (130 Ctrl-C, 143 SIGTERM), 255 bad usage or an error of fanout's own.";

class help_text : public CLI::Formatter {
public:
  std::string make_usage(const CLI::App*, std::string) const override {
    return fmt::format("Usage: fanout [options] command [arguments] [::: items | :::: files]\n"
                       "       fanout [options] -a file-of-commands\n\n{}\n",
                       about);
  }
};

std::vector<option_text> texts_of(const CLI::App& app) {
  constexpr std::string_view with_files[] = {"joblog",   "json",    "trace",  "results",
                                             "arg-file", "workdir", "report", "junit"};
  std::vector<option_text> all{{"", "help-all", "All options"}};
  for (const CLI::Option* each : app.get_options()) {
    const auto first = [](const std::vector<std::string>& names) {
      return names.empty() ? "" : names.front();
    };
    const std::string name = first(each->get_lnames());
    all.push_back({first(each->get_snames()), name, each->get_description(),
                   each->get_items_expected_max() != 0,
                   std::ranges::find(with_files, name) != std::end(with_files)});
  }
  return all;
}

/// Prints what --completion or --man asks for; nothing without one of these.
std::optional<int> print_page(const CLI::App& app, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--man") {
      std::fputs(man_page(about, exit_codes, texts_of(app)).c_str(), stdout);
      return 0;
    }
    if (word == "--completion") {
      const auto script = completion(i + 1 < argc ? argv[i + 1] : "", texts_of(app));
      std::fputs(script ? script->c_str() : "", stdout);
      if (!script) {
        std::fputs("fanout: --completion takes bash, zsh or fish\n", stderr);
      }
      return script ? 0 : own_error;
    }
    if (!word.starts_with('-')) {
      break; // the command: what follows is for it
    }
  }
  return std::nullopt;
}

std::size_t sources(const options& chosen) {
  std::size_t count = 0;
  for (const input& each : chosen.inputs) {
    count += each.files ? each.words.size() : 1;
  }
  return count;
}

std::string contradiction(const options& chosen) {
  if (chosen.csv && !chosen.column_separator.empty()) {
    return "--csv and --colsep exclude each other";
  }
  const bool several_a_job = chosen.items_a_job != 0 || chosen.fill;
  if (several_a_job && (chosen.csv || !chosen.column_separator.empty())) {
    return "-n and -m take whole items, --csv and --colsep their columns";
  }
  if (several_a_job && sources(chosen) > 1) {
    return "-n and -m take the items of one source";
  }
  if (chosen.words.empty() && (several_a_job || sources(chosen) > 1 || chosen.csv ||
                               chosen.header || !chosen.column_separator.empty())) {
    return "without a command each item is one: no -n, -m, columns, header or second source";
  }
  if ((chosen.resume || chosen.resume_failed) && chosen.joblog.empty()) {
    return "--resume needs the --joblog of the run that it goes on with";
  }
  if (chosen.pipe && (!chosen.inputs.empty() || chosen.csv || chosen.header || several_a_job ||
                      !chosen.column_separator.empty())) {
    return "--pipe takes stdin as it is: no ':::', columns, header, -n or -m";
  }
  if (chosen.by_line && chosen.keep_order) {
    return "--line-buffer shows what comes when it comes, --keep-order does not";
  }
  if (chosen.ungrouped && (chosen.by_line || chosen.keep_order || chosen.tag ||
                           !chosen.results.empty() || chosen.json == "-" || chosen.max_output)) {
    return "--ungroup leaves the outputs to the jobs: no --line-buffer, --keep-order, --tag, "
           "--results, --max-output or --json -";
  }
  if (!chosen.inputs.empty() && chosen.inputs.front().linked) {
    return "':::+' goes with a ':::' before it";
  }
  return {};
}

} // namespace

parsed parse(int argc, char** argv) {
  unfinished what;
  options& chosen = what.chosen;
  char** const inputs = find_inputs(argv + 1, argv + argc, chosen.inputs);
  const bool all = std::any_of(argv + 1, inputs,
                               [](const char* word) { return !std::strcmp(word, "--help-all"); });
  CLI::App app{"", "fanout"};
  app.formatter(std::make_shared<help_text>());
  app.set_version_flag("--version", "fanout 0.1.0");
  if (all) {
    app.set_help_flag("--help-all", "All options");
  } else {
    app.set_help_flag("-h,--help", "This; --help-all shows more options");
  }
  app.prefix_command(); // the command's own options are the command's
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return fmt::format("fanout: {}; try --help\n", error.what());
  });
  add_options(app, what, all);
  app.footer(exit_codes);
  if (const auto done = print_page(app, static_cast<int>(inputs - argv), argv)) {
    return {std::nullopt, *done};
  }

  // CLI11 would take ':::' for a word like any other; what follows it is not for it.
  try {
    app.parse(static_cast<int>(inputs - argv), argv);
  } catch (const CLI::ParseError& error) {
    return {std::nullopt, app.exit(error) == 0 ? 0 : own_error};
  }
  const auto wrong = [](const std::string& why) {
    std::fputs(fmt::format("fanout: {}\n", why).c_str(), stderr);
    return parsed{std::nullopt, own_error};
  };
  chosen.words = app.remaining();
  if (!chosen.words.empty() && chosen.words.front() == "--") {
    chosen.words.erase(chosen.words.begin());
  } else if (!chosen.words.empty() && chosen.words.front().starts_with('-')) {
    return wrong(fmt::format("no option '{}'; a command of that name goes after '--'",
                             chosen.words.front()));
  }
  chosen.inputs.insert(chosen.inputs.begin(), what.from_files.begin(), what.from_files.end());
  if (chosen.words.empty() && chosen.inputs.empty()) {
    return wrong("no command was given; try --help");
  }
  if (!what.retries_given) {
    for (const per_try& each : chosen.by_try) {
      chosen.retry.retries =
          std::max(chosen.retry.retries, static_cast<unsigned>(each.values.size() - 1));
    }
  }
  if (const std::string why = contradiction(chosen); !why.empty()) {
    return wrong(why);
  }
  return {std::move(chosen), 0};
}

} // namespace fanout
