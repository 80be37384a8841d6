#include <check.hpp>

#include <subproc/error.hpp>

#include "../platform.hpp"
#include "../printing.hpp"

#include <climits>
#include <cstring>

namespace {

using namespace subproc;
using detail::check;
using test::excused_without;
using test::feature;
using test::numbered_fd;
using test::spawn_error_of;
using namespace std::chrono_literals;
using namespace std::string_literals;

bool passes(const command& cmd) {
  check(cmd);
  return true;
}

// A refusal: invalid_argument, before anything starts, with the option's name and the reason.
void refuses(const command& cmd, const std::string& option, const std::string& reason) {
  const spawn_error error = spawn_error_of([&] { check(cmd); });
  const std::string text = error.what();
  CAPTURE(text);
  CHECK(error.code() == std::errc::invalid_argument);
  CHECK(error.step() == spawn_step::arguments);
  CHECK(error.path() == option);
  CHECK(text.find(option) != std::string::npos);
  CHECK(text.find(reason) != std::string::npos);
  CHECK(text.size() == std::strlen(error.what()));
}

const command accepted("prog");

TEST_SUITE("check") {
  TEST_CASE("check: an ordinary command passes") {
    CHECK(passes(accepted));
    CHECK(passes(command("git", "log", "").cwd("/").env({{"A", "b=c"}}).out(piped).err(merge)));
    CHECK(passes(command("a").in(numbered_fd(3)).out(numbered_fd(2)).err(numbered_fd(1))));
    CHECK(passes(command("a").process_group(0).pipe_size(1)));
    CHECK(passes(command("a").env({})));
  }

  TEST_CASE("check: a program must be named") {
    refuses(command(), "args", "empty");
    refuses(command(""), "args", "program is empty");
    refuses(command("", "x"), "args", "program is empty");
    refuses(command("x").executable(""), "executable", "empty");
    CHECK(passes(command("").executable("prog")));
    refuses(command().executable("prog"), "args", "empty");
  }

  TEST_CASE("check: a NUL byte is refused wherever it stands") {
    refuses(command("a\0b"s), "args", "argument 0 'a\\0b' holds a NUL byte");
    refuses(command("a", "b", "c\0"s), "args", "argument 2 'c\\0'");
    refuses(command("a").executable("x\0"s), "executable", "NUL");
    refuses(command("a").cwd("/\0"s), "cwd", "NUL");
    refuses(command("a").in(file("f\0"s)), "in", "NUL");
    refuses(command("a").out(file("f\0"s)), "out", "NUL");
    refuses(command("a").err(file("f\0"s)), "err", "NUL");
    refuses(command("a").env({{"A\0"s, "v"}}), "env", "NUL");
    refuses(command("a").env({{"A", "v\0"s}}), "env", "'A': a value may not hold a NUL byte");
    refuses(command("a").user("u\0"s), "user", "NUL");
    refuses(command("a").group("g\0"s), "group", "NUL");
  }

  TEST_CASE("check: names of variables are refused when no program could read them") {
    refuses(command("a").env({{"A=B", "v"}}), "env",
            "environment variable 'A=B': a name may not contain '='");
    refuses(command("a").env({{"", "v"}}), "env", "a name may not be empty");
    refuses(command("a").env(environment::inherit().unset("A=B")), "env", "'A=B'");
    refuses(command("a").env(environment::inherit().set("=", "")), "env", "'='");
  }

  TEST_CASE("check: input and in exclude each other") {
    refuses(command("a").input("x").in(piped), "input", "input and in");
    refuses(command("a").input("").in(null), "input", "input and in");
    CHECK(passes(command("a").input("")));
  }

  TEST_CASE("check: capture_output excludes out and err") {
    refuses(command("a").capture_output().out(piped), "capture_output", "capture_output and out");
    refuses(command("a").capture_output().err(merge), "capture_output", "capture_output and err");
    CHECK(passes(command("a").capture_output().in(null)));
    CHECK(passes(command("a").capture_output(false).out(piped)));
  }

  TEST_CASE("check: a negative descriptor is refused by the name of its stream") {
    refuses(command("a").in(numbered_fd(-1)), "in", "negative");
    refuses(command("a").out(numbered_fd(-1)), "out", "negative");
    refuses(command("a").err(numbered_fd(-1)), "err", "negative");
  }

  TEST_CASE("check: a file must be opened the way its stream goes") {
    refuses(command("a").in(file("f", open_mode::append)), "in", "'f' would be opened only for");
    refuses(command("a").in(file("f", open_mode::truncate)), "in", "stdin is read");
    refuses(command("a").in(file("f", open_mode::create_new)), "in", "stdin is read");
    refuses(command("a").out(file("f", open_mode::read)), "out", "written");
    refuses(command("a").err(file("f", open_mode::read)), "err", "written");
    CHECK(passes(command("a").in(file("f", open_mode::read_write))));
    CHECK(passes(command("a").in(file("f", open_mode::read)).out(file("g", open_mode::append))));
    CHECK(passes(command("a").in(file("f")).out(file("g")).err(file("h", open_mode::create_new))));
  }

  TEST_CASE("check: passed descriptors need close_fds") {
    refuses(command("a").pass_fds({5}).close_fds(false), "pass_fds", "close_fds(false)");
    CHECK(passes(command("a").close_fds(false)));
  }

  TEST_CASE("check: passed descriptors are above 2, not negative, and each given once") {
    if (excused_without(feature::posix_options, "it passes descriptors")) {
      return;
    }
    refuses(command("a").pass_fds({-1}), "pass_fds", "-1 is negative");
    refuses(command("a").map_fds({{5, -3}}), "pass_fds", "-3 is negative");
    refuses(command("a").map_fds({{2, 5}}), "pass_fds", "descriptor 2 is below 3");
    refuses(command("a").map_fds({{-4, 5}}), "pass_fds", "-4 is below 3");
    refuses(command("a").map_fds({{5, 6}, {5, 7}}), "pass_fds", "5 is given twice");
    CHECK(passes(command("a").map_fds({{5, 0}, {6, 0}})));
    CHECK(passes(command("a").pass_fds({5, 5, 1})));
    CHECK(passes(command("a").in(numbered_fd(0)).pass_fds({3, 4})));
    refuses(command("a").out(numbered_fd(-7)), "out", "negative");
  }

  TEST_CASE("check: passed bytes need close_fds and a descriptor of their own") {
    if (excused_without(feature::posix_options, "it passes bytes")) {
      return;
    }
    refuses(command("a").pass_bytes(5, "x").close_fds(false), "pass_bytes", "close_fds(false)");
    refuses(command("a").pass_bytes(2, "x"), "pass_bytes", "descriptor 2 is below 3");
    refuses(command("a").pass_bytes(5, "x").pass_bytes(5, "y"), "pass_bytes", "5 is given twice");
    refuses(command("a").pass_fds({5}).pass_bytes(5, "y"), "pass_bytes", "5 is given twice");
    refuses(command("a").pass_bytes(5, std::string(65537, 'x'), bytes_form::pipe), "pass_bytes",
            "65537 bytes are too many for a pipe");
    CHECK(passes(command("a").pass_bytes(5, std::string(65536, 'x'), bytes_form::pipe)));
    CHECK(passes(command("a").pass_fds({6}).pass_bytes(5, std::string(65537, 'x'))));
  }

  TEST_CASE("check: limits are refused by the name of their member") {
    if (excused_without(feature::posix_options, "it sets limits")) {
      return;
    }
    const auto with = [](limits what) { return command("a").with(std::move(what)); };
    refuses(with({.rlimits = {{"files", 1}}}), "limits.rlimits", "'files' is no resource");
    refuses(with({.rlimits = {{"nofile", 2, 1}}}), "limits.nofile", "above the hard one");
    refuses(with({.rlimits = {{"core", unlimited, 0}}}), "limits.core", "above the hard one");
    refuses(with({.rlimits = {{"as", 1}, {resource::as, 2}}}), "limits.as", "given twice");
    refuses(with({.nice = 20}), "limits.nice", "20 is not from -20 to 19");
    refuses(with({.nice = -21}), "limits.nice", "-21 is not from -20 to 19");
    refuses(with({.oom_score_adj = 1001}), "limits.oom_score_adj", "1001 is not from -1000");
    refuses(with({.oom_score_adj = -1001}), "limits.oom_score_adj", "-1001 is not from -1000");
    refuses(with({.cpus = std::vector<int>()}), "limits.cpus", "empty");
    refuses(with({.cpus = {{0, -1}}}), "limits.cpus", "-1 is not from 0 to 8191");
    refuses(with({.cpus = {{8192}}}), "limits.cpus", "8192 is not from 0 to 8191");
    CHECK(passes(with({})));
    CHECK(passes(with({.rlimits = {{"RLIMIT_NOFILE", 1, unlimited}, {"cpu", 0}},
                       .nice = -20,
                       .cpus = {{0, 0, 8191}},
                       .oom_score_adj = -1000})));
  }

  TEST_CASE("check: process groups are 0 or more and exclude a new session") {
    if (excused_without(feature::posix_options, "it makes a session")) {
      return;
    }
    refuses(command("a").process_group(-1), "process_group", "-1 is negative");
    refuses(command("a").process_group(0).new_session(), "process_group", "new_session");
    CHECK(passes(command("a").process_group(0).new_session(false)));
    CHECK(passes(command("a").new_session()));
  }

  TEST_CASE("check: a umask has nine bits") {
    if (excused_without(feature::posix_options, "it sets a umask")) {
      return;
    }
    refuses(command("a").umask(-1), "umask", "-1");
    refuses(command("a").umask(01000), "umask", "512");
    CHECK(passes(command("a").umask(0)));
    CHECK(passes(command("a").umask(0777)));
  }

  TEST_CASE("check: ids are those that a kernel can set") {
    if (excused_without(feature::posix_options, "it sets ids")) {
      return;
    }
    for (const long long bad : {-1LL, 4294967295LL, 4294967296LL, LLONG_MAX, LLONG_MIN}) {
      const std::string number = std::to_string(bad);
      refuses(command("a").user(bad), "user", number);
      refuses(command("a").group(bad), "group", number);
      refuses(command("a").extra_groups({0, bad}), "extra_groups", number);
    }
    refuses(command("a").user(""), "user", "empty");
    refuses(command("a").group(""), "group", "empty");
    refuses(command("a").extra_groups({"adm", ""}), "extra_groups", "empty");
    CHECK(passes(command("a").user(4294967294LL).group(0).extra_groups({})));
  }

  TEST_CASE("check: a pipe has a size that the kernel can take") {
    refuses(command("a").pipe_size(0), "pipe_size", "0 is not from 1");
    refuses(command("a").pipe_size(-1), "pipe_size", "-1");
    refuses(command("a").pipe_size(INT_MAX + 1LL), "pipe_size", "2147483648");
    CHECK(passes(command("a").pipe_size(INT_MAX)));
  }

  TEST_CASE("check: a hook must be a function") {
    if (excused_without(feature::posix_options, "it has a hook")) {
      return;
    }
    refuses(command("a").pre_exec({nullptr}), "pre_exec", "null");
    CHECK(passes(command("a").pre_exec({[](void*) { return 0; }})));
  }

  TEST_CASE("check: a limit of 0 is allowed under every policy") {
    for (const overflow policy :
         {overflow::error, overflow::head, overflow::tail, overflow::head_tail}) {
      CHECK(passes(command("a").capture_output().limit(0, policy)));
    }
  }

  TEST_CASE("check: the steps of a stop are some, with real signals and no negative grace [A48]") {
    if (excused_without(feature::signals, "it names signals")) {
      return;
    }
    refuses(command("a").stop_steps({}), "stop_steps", "the list is empty");
    refuses(command("a").stop_steps({{15, 1s}, {9, -1s}}), "stop_steps",
            "step 2: the grace is neg");
    refuses(command("a").stop_steps({{-1, 1s}}), "stop_steps", "step 1: -1 is no signal");
    refuses(command("a").stop_steps({{0, 1s}, {65, 1s}}), "stop_steps", "step 2: 65 is no signal");
    CHECK(passes(command("a").stop_steps({{0, 1s}, {1, 0s}, {64, std::chrono::hours::max()}})));
    CHECK(passes(command("a").stop_steps({{2, 1s}}).cancel_signals()));
  }

  TEST_CASE("check: time-outs of any sign and size are allowed") {
    CHECK(passes(command("a").timeout(std::chrono::hours::max()).drain_timeout(-1s)));
  }

  TEST_CASE("check: a tee is checked as its sink is") {
    CHECK(passes(command("a").out(subproc::tee()).err(subproc::tee(numbered_fd(2)))));
    CHECK(passes(command("a").out(subproc::tee(file("x", open_mode::append))).err(merge)));
    refuses(command("a").out(subproc::tee(numbered_fd(-1))), "out", "negative");
    refuses(command("a").err(subproc::tee(file("x", open_mode::read))), "err", "only for reading");
    refuses(command("a").out(subproc::tee(file("x\0y"s))), "out", "NUL");
  }

  TEST_CASE("check: an inactivity time-out needs something that is captured") {
    refuses(command("a").inactivity_timeout(1s), "inactivity_timeout", "neither out nor err");
    refuses(command("a").out(null).err(merge).inactivity_timeout(1s), "inactivity_timeout", "");
    CHECK(passes(command("a").out(piped).inactivity_timeout(1s)));
    CHECK(passes(command("a").err(subproc::tee()).inactivity_timeout(-1s)));
    CHECK(passes(command("a").capture_output().inactivity_timeout(1s)));
  }

  TEST_CASE("check: an ordered output has no tail") {
    for (const overflow policy : {overflow::tail, overflow::head_tail}) {
      refuses(command("a").ordered_output().limit(10, policy), "ordered_output", "tail");
      CHECK(passes(command("a").ordered_output(false).limit(10, policy)));
    }
    CHECK(passes(command("a").ordered_output().limit(10).out(piped)));
    CHECK(passes(command("a").ordered_output().limit(10, overflow::head)));
  }

  TEST_CASE("check: what only Windows has is refused by name [K86]") {
    if (excused_without(feature::posix_options, "the group of options exists")) {
      return;
    }
    refuses(command("a").with(windows{}), "windows", "only supported on Windows");
    refuses(command("a").with(windows{.creation_flags = windows::create_no_window}), "windows",
            "only supported on Windows");
  }
}

} // namespace
