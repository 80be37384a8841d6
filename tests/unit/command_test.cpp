#include <subproc/command.hpp>

#include <subproc/exit_status.hpp>

#include "../platform.hpp"
#include "../printing.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <list>
#include <memory>
#include <span>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace subproc;
using test::excused_without;
using test::feature;
using test::numbered_fd;
using namespace std::chrono_literals;
using strings = std::vector<std::string>;

strings args_of(const command& cmd) { return cmd.args(); }

template <class Redirect>
concept fits_out = requires(command cmd, Redirect redirect) {
  cmd.out(redirect);
};
template <class Redirect>
concept fits_in = requires(command cmd, Redirect redirect) {
  cmd.in(redirect);
};
template <class Redirect>
concept fits_err = requires(command cmd, Redirect redirect) {
  cmd.err(redirect);
};

static_assert(fits_in<piped_t> && fits_out<file> && fits_err<fd>);
static_assert(!fits_out<int>);
static_assert(std::is_convertible_v<const char*, command>);
static_assert(!std::is_convertible_v<int, command>);
static_assert(std::is_same_v<decltype(command("a").cwd("/")), command>);
static_assert(std::is_same_v<decltype(std::declval<command&>().cwd("/")), command&>);
static_assert(std::is_nothrow_move_constructible_v<command>);

TEST_SUITE("command") {
  TEST_CASE("command: two literals are two arguments") {
    CHECK(args_of({"a", "b"}) == strings{"a", "b"});
    CHECK(command{"a", "b"}.args() == strings{"a", "b"});
    CHECK(command("a", "b").args() == strings{"a", "b"});
  }

  TEST_CASE("command: a copy that is changed leaves the others as they were") {
    command first("a");
    command second = first;
    const command third = second;
    first.arg("b").cwd("/");
    second.arg("c");
    CHECK(first.args() == strings{"a", "b"});
    CHECK(second.args() == strings{"a", "c"});
    CHECK(third.args() == strings{"a"});
    CHECK(first.cwd() == "/");
    CHECK_FALSE(second.cwd());

    second = third;
    CHECK(second == third);
    CHECK(&second.args() == &third.args());
    second.umask(0);
    CHECK_FALSE(third.umask());

    first = std::move(second);
    first.arg("d");
    CHECK(first.args() == strings{"a", "d"});
    CHECK(third.args() == strings{"a"});
  }

  TEST_CASE("command: one that was moved from is as good as new") {
    command from("a");
    from.ok_codes({1}).check();
    const command to = std::move(from);
    CHECK(to.checked());
    CHECK(from == command());
    from.arg("b");
    CHECK(from.args() == strings{"b"});
    CHECK(from.ok_codes() == std::vector<long long>{0});
  }

  TEST_CASE("command: one object may be copied on several threads, and the copies changed") {
    const command one("a");
    std::vector<std::thread> threads;
    std::array<command, 4> copies;
    for (command& copy : copies) {
      threads.emplace_back([&] { copy = command(one).arg("b"); });
    }
    for (std::thread& each : threads) {
      each.join();
    }
    CHECK(std::ranges::count(copies, command("a", "b")) == 4);
    CHECK(one.args() == strings{"a"});
  }

  TEST_CASE("command: one string is one program and is never split") {
    CHECK(args_of("ls -l") == strings{"ls -l"});
    CHECK(args_of({"false"}) == strings{"false"});
  }

  TEST_CASE("command: arguments are any mix of strings, views, literals and paths") {
    const std::string text = "s";
    const std::string_view view = std::string_view("view").substr(0, 1);
    const std::filesystem::path path = "/tmp/x";
    CHECK(command(path, text, view, "l").args() == strings{"/tmp/x", "s", "v", "l"});
    CHECK(command(path).args() == strings{"/tmp/x"});
    CHECK(command("a").cwd(path).cwd() == "/tmp/x");
  }

  TEST_CASE("command: argv comes from a range too") {
    CHECK(command(strings{"a", "b"}).args() == strings{"a", "b"});
    CHECK(command(std::list<std::string_view>{"a", "b"}).args() == strings{"a", "b"});
    CHECK(command(std::array<const char*, 2>{"a", "b"}).args() == strings{"a", "b"});
    CHECK(command(std::vector<std::filesystem::path>{"/a"}).args() == strings{"/a"});
    CHECK(command(strings{}).args().empty());
    std::string first = "prog";
    std::string second = "x";
    std::array<char*, 2> argv = {first.data(), second.data()};
    CHECK(command(std::span<char*>(argv)).args() == strings{"prog", "x"});
  }

  TEST_CASE("command: a copy of a command is that command") {
    command original("a", "b");
    const command copy(original);
    CHECK(copy.args() == strings{"a", "b"});
    command const& reference = original;
    CHECK(command(reference) == original);
  }

  TEST_CASE("command: NUL bytes and any others are kept") {
    const std::string odd("a\0\xff", 3);
    CHECK(command("x", odd).args().back() == odd);
  }

  TEST_CASE("command: a path in UTF-16 is told in UTF-8, half a character in bytes that are none") {
    CHECK(detail::utf8_of(L"").empty());
    CHECK(detail::utf8_of(L"x\x7f\x80\x7ff\x800\xffff") ==
          "x\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf");
    CHECK(detail::utf8_of(L"\xd83d\xde00!") == "\xf0\x9f\x98\x80!");
    CHECK(detail::utf8_of(L"\xd83d") == "\xed\xa0\xbd");
    CHECK(detail::utf8_of(L"\xde00\xd83d") == "\xed\xb8\x80\xed\xa0\xbd");
  }

  TEST_CASE("command: arg appends") {
    command cmd("a");
    cmd.arg("b").arg("c");
    CHECK(cmd.args() == strings{"a", "b", "c"});
    CHECK(command("a").arg("b").args() == strings{"a", "b"});
  }

  TEST_CASE("command: shell spells the shell out") {
    if (excused_without(feature::posix_shell, "the shell is another")) {
      return;
    }
    CHECK(shell("echo $0 $1", "a", "b").args() == strings{"/bin/sh", "-c", "echo $0 $1", "a", "b"});
    CHECK(shell("").args() == strings{"/bin/sh", "-c", ""});
    CHECK(shell("").is_shell());
    CHECK_FALSE(command("/bin/sh", "-c", "").is_shell());
  }

  TEST_CASE("command: merge is a word for stderr alone [K67]") {
    static_assert(!fits_in<merge_t> && !fits_out<merge_t> && fits_err<merge_t>);
    static_assert(!std::is_convertible_v<merge_t, input_redirect>);
    static_assert(!std::is_convertible_v<merge_t, output_redirect>);
    CHECK((command("a").err(merge).err() == error_redirect(merge)));
  }

  TEST_CASE("command: the executable of a shell is the shell in both roles") {
    if (excused_without(feature::posix_shell, "the shell is another")) {
      return;
    }
    const command cmd = shell("echo $0", "a").executable("/bin/bash");
    CHECK(cmd.args() == strings{"/bin/bash", "-c", "echo $0", "a"});
    CHECK(cmd.executable() == "/bin/bash");
    CHECK(command("/bin/sh", "-c", "x").executable("/bin/bash").args().front() == "/bin/sh");
  }

  TEST_CASE("command: env({}) is the empty environment and none is inherit") {
    CHECK_FALSE(command("a").env().has_value());
    const command cmd = command("a").env({});
    REQUIRE(cmd.env().has_value());
    CHECK_FALSE(cmd.env()->inherits());
    CHECK(cmd.env()->resolve().empty());
    CHECK(command("a").env({{"A", "1"}}).env()->resolve() == strings{"A=1"});
    CHECK(command("a").env({{"A", "1"}, {"B", "2"}}).env()->resolve() == strings{"A=1", "B=2"});
  }

  TEST_CASE("command: defaults are those of Popen") {
    const command cmd("a");
    CHECK_FALSE(cmd.executable().has_value());
    CHECK_FALSE(cmd.cwd().has_value());
    CHECK_FALSE(cmd.in().has_value());
    CHECK_FALSE(cmd.out().has_value());
    CHECK_FALSE(cmd.err().has_value());
    CHECK_FALSE(cmd.input().has_value());
    CHECK_FALSE(cmd.captures_output());
    CHECK_FALSE(cmd.stop_steps().has_value());
    CHECK_FALSE(cmd.has_cancel_signals());
    CHECK(cmd.pass_fds().empty());
    CHECK(cmd.close_fds());
    CHECK_FALSE(cmd.has_new_session());
    CHECK_FALSE(cmd.process_group().has_value());
    CHECK_FALSE(cmd.umask().has_value());
    CHECK_FALSE(cmd.user().has_value());
    CHECK_FALSE(cmd.extra_groups().has_value());
    CHECK((cmd.signals() == signal_setup::standard));
    CHECK((cmd.drop() == drop_policy::kill));
    CHECK_FALSE(cmd.timeout().has_value());
    CHECK_FALSE(cmd.checked());
    CHECK((cmd.limit() == capture_limit{}));
    CHECK(cmd.launcher() == nullptr);
    CHECK(cmd.pass_bytes().empty());
    CHECK(cmd.get<limits>() == nullptr);
    CHECK_FALSE(cmd.falls_back_to_shell());
    CHECK_FALSE(cmd.uses_absolute_path_only());
    CHECK_FALSE(cmd.dies_with_parent());
  }

  TEST_CASE("command: every option reads back what was set") {
    const steady_clock::time_point when(5s);
    const command cmd = command("a")
                            .executable("/bin/b")
                            .cwd("/")
                            .in(null)
                            .out(file("log", open_mode::append))
                            .err(merge)
                            .process_group(0)
                            .umask(022)
                            .user("nobody")
                            .group(7)
                            .extra_groups({1, "adm"})
                            .signals(signal_setup::keep)
                            .pipe_size(4096)
                            .drop(drop_policy::detach)
                            .timeout(50ms)
                            .deadline(when)
                            .drain_timeout(0.5s)
                            .inactivity_timeout(7s)
                            .ordered_output()
                            .pass_bytes(5, "secret")
                            .with(limits{.nice = 5})
                            .shell_fallback()
                            .absolute_path_only()
                            .die_with_parent()
                            .check()
                            .ok_codes({0, 1})
                            .stop_steps({{2, 5s}, {9, 1s}})
                            .cancel_signals()
                            .limit(10, overflow::tail);
    CHECK(cmd.executable() == "/bin/b");
    CHECK(cmd.cwd() == "/");
    CHECK((cmd.in() == input_redirect(null)));
    CHECK((cmd.out() == output_redirect(file("log", open_mode::append))));
    CHECK((cmd.err() == error_redirect(merge)));
    CHECK(cmd.process_group() == 0);
    CHECK(cmd.umask() == 022);
    CHECK((cmd.user() == account("nobody")));
    CHECK((cmd.group() == account(7)));
    CHECK((cmd.extra_groups() == std::vector<account>{7 - 6, "adm"}));
    CHECK((cmd.signals() == signal_setup::keep));
    CHECK(cmd.pipe_size() == 4096);
    CHECK((cmd.drop() == drop_policy::detach));
    CHECK((cmd.timeout() == duration(50ms)));
    CHECK((cmd.deadline() == when));
    CHECK((cmd.drain_timeout() == duration(500ms)));
    CHECK((cmd.inactivity_timeout() == duration(7s)));
    CHECK(cmd.has_ordered_output());
    CHECK((cmd.pass_bytes() == std::vector<passed_bytes>{{5, "secret", bytes_form::file}}));
    CHECK(cmd.get<limits>()->nice == 5);
    CHECK(cmd.falls_back_to_shell());
    CHECK(cmd.uses_absolute_path_only());
    CHECK(cmd.dies_with_parent());
    CHECK(cmd.checked());
    CHECK((cmd.ok_codes() == std::vector<long long>{0, 1}));
    CHECK((cmd.stop_steps() == std::vector<stop_step>{{2, 5s}, {9, 1s}}));
    CHECK(cmd.has_cancel_signals());
    CHECK((cmd.limit() == capture_limit{10, overflow::tail}));
  }

  TEST_CASE("command: an empty list of groups is not the same as none") {
    const command cmd = command("a").extra_groups({});
    REQUIRE(cmd.extra_groups().has_value());
    CHECK(cmd.extra_groups()->empty());
  }

  TEST_CASE("command: an empty input is an input") { CHECK(command("a").input("").input() == ""); }

  TEST_CASE("command: pass_fds maps each number to itself") {
    const command cmd = command("a").pass_fds({5, 9});
    CHECK((cmd.pass_fds() == std::vector<fd_mapping>{{5, 5}, {9, 9}}));
    CHECK(command("a").pass_fds({5}).pass_fds({}).pass_fds().empty());
  }

  TEST_CASE("command: pass_fds counts a number once and leaves the streams alone") {
    const command cmd = command("a").pass_fds({5, 0, 1, 2, 5});
    CHECK((cmd.pass_fds() == std::vector<fd_mapping>{{5, 5}}));
  }

  TEST_CASE("command: map_fds takes other numbers") {
    const command cmd = command("a").map_fds({{3, 9}, {4, 9}});
    CHECK((cmd.pass_fds() == std::vector<fd_mapping>{{3, 9}, {4, 9}}));
  }

  TEST_CASE("command: setters chain on a named value without a copy") {
    command cmd("a");
    command& same = cmd.cwd("/").umask(0).out(piped);
    CHECK(&same == &cmd);
    CHECK(cmd.umask() == 0);
  }

  TEST_CASE("command: equal means all options equal") {
    CHECK(command("a").cwd("/") == command("a").cwd("/"));
    CHECK(command("a").cwd("/") != command("a"));
    CHECK(command("a").env({}) != command("a"));
    CHECK(command("a").stop_steps({{2, 5s}}) == command("a").stop_steps({{2, 5000ms}}));
    CHECK(command("a").stop_steps({{2, 5s}}) != command("a").stop_steps({{2, 6s}}));
    CHECK(command("a").cancel_signals() != command("a"));
    CHECK(command("a").out(numbered_fd(1)) != command("a").out(numbered_fd(2)));
    CHECK(command("a") != command("a", ""));
  }

  TEST_CASE("command: accepts exit code 0 alone unless told") {
    CHECK(command("a").accepts(exit_status::from_code(0)));
    CHECK_FALSE(command("a").accepts(exit_status::from_code(1)));
    const command grep = command("grep").ok_codes({0, 1});
    CHECK(grep.accepts(exit_status::from_code(1)));
    CHECK_FALSE(grep.accepts(exit_status::from_code(2)));
    CHECK_FALSE(command("a").ok_codes({}).accepts(exit_status::from_code(0)));
  }

  TEST_CASE("command: accepts no death by signal and no unknown status") {
    const command cmd = command("a").ok_codes({0, 9, -9});
    CHECK_FALSE(cmd.accepts(exit_status::from_signal(9)));
    CHECK_FALSE(cmd.accepts(exit_status()));
  }

  TEST_CASE("command: prints as a shell would read it") {
    CHECK(to_string(command("grep", "-e", "it's", "")) == "grep -e 'it'\"'\"'s' ''");
    CHECK(to_string(command()).empty());
    std::ostringstream text;
    text << command("ls", "a b");
    CHECK(text.str() == "ls 'a b'");
  }

  TEST_CASE("command: passed bytes add up, count in comparisons, and are never printed") {
    const command one = command("a").in(memory("secret")).pass_bytes(3, "secret");
    const command two = command(one).pass_bytes(4, "secret", bytes_form::pipe);
    CHECK(two.pass_bytes().size() == 2);
    CHECK((one != two));
    CHECK((one != command("a").in(memory("secret")).pass_bytes(3, "other")));
    CHECK((one == command("a").in(memory("secret")).pass_bytes(3, "secret")));
    CHECK(to_string(two) == "a");
  }

  TEST_CASE("command: one that cannot start because of a NUL byte prints as well") {
    CHECK(to_string(command("a", std::string("x\0y\0", 4))) == "a 'x\\0y\\0'");
  }
}

} // namespace
