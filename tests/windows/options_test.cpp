#include "start_support.hpp"

#include <check.hpp>
#include <exit_code.hpp>

#include <windows.h>

namespace {

using namespace subproc;

const command ok("prog.exe");

void start_refuses(const command& cmd, const std::string& option, const std::string& reason) {
  const spawn_error error = test::spawn_error_of([&] { detail::check(cmd); });
  const std::string text = error.what();
  CAPTURE(text);
  CHECK(error.code() == std::errc::invalid_argument);
  CHECK(error.step() == spawn_step::arguments);
  CHECK(error.path() == option);
  CHECK(text.find(reason) != std::string::npos);
}

int no_hook(void*) { return 0; }

TEST_SUITE("windows options") {
  TEST_CASE("windows options: what only POSIX has is refused by name [K86]") {
    const std::string reason = "this is not supported on Windows";
    start_refuses(command(ok).pre_exec({no_hook}), "pre_exec", reason);
    start_refuses(command(ok).user(0), "user", reason);
    start_refuses(command(ok).group("staff"), "group", reason);
    start_refuses(command(ok).extra_groups({}), "extra_groups", reason);
    start_refuses(command(ok).umask(0), "umask", reason);
    start_refuses(command(ok).pass_fds({3}), "pass_fds", reason);
    start_refuses(command(ok).pass_bytes(3, "x"), "pass_bytes", reason);
    start_refuses(command(ok).new_session(), "new_session", reason);
    start_refuses(command(ok).signals(signal_setup::reset_all), "signals", reason);
    start_refuses(command(ok).signals(signal_setup::keep), "signals", reason);
    start_refuses(command(ok).shell_fallback(), "shell_fallback", reason);
    start_refuses(command(ok).with(limits{}), "limits", reason);
    start_refuses(command(ok).process_group(7), "process_group", "a group of its own");
    detail::check(command(ok).process_group(0).absolute_path_only().env({{"=C:", "C:\\"}}));
  }

  TEST_CASE("windows options: flags that exclude each other are refused") {
    const auto with = [](std::uint32_t flags, std::optional<std::uint32_t> priority = {}) {
      return command(ok).with(windows{.creation_flags = flags, .priority = priority});
    };
    const char* flags = "windows.creation_flags";
    start_refuses(with(windows::create_suspended), flags, "never go on");
    start_refuses(with(windows::create_new_console | windows::detached_process), flags, "only one");
    start_refuses(with(windows::create_new_console | windows::create_no_window), flags, "only one");
    start_refuses(with(windows::idle_priority_class | windows::high_priority_class), flags,
                  "more than one");
    start_refuses(with(windows::idle_priority_class, windows::high_priority_class),
                  "windows.priority", "more than one");
    start_refuses(with(0, 0), "windows.priority", "no priority class");
    start_refuses(with(0, windows::create_no_window), "windows.priority", "no priority class");
    start_refuses(with(0, windows::idle_priority_class | windows::high_priority_class),
                  "windows.priority", "no priority class");
    detail::check(with(windows::create_no_window | windows::create_new_process_group,
                       windows::high_priority_class));
    detail::check(with(windows::idle_priority_class, windows::idle_priority_class));
  }

  TEST_CASE("windows options: the members are checked by name") {
    using namespace std::string_literals;
    start_refuses(command(ok).with(windows{.show_window = std::uint16_t(12)}),
                  "windows.show_window", "12");
    start_refuses(command(ok).with(windows{.title = "a\0"s}), "windows.title", "NUL");
    start_refuses(command(ok).with(windows{.desktop = "a\0"s}), "windows.desktop", "NUL");
    start_refuses(command(ok).with(windows{.raw_command_line = "a\0"s}), "windows.raw_command_line",
                  "NUL");
    start_refuses(command(ok).with(windows{.handle_list = {nullptr}}), "windows.handle_list",
                  "never opened");
    start_refuses(command(ok).with(windows{.handle_list = {INVALID_HANDLE_VALUE}}),
                  "windows.handle_list", "never opened");
    start_refuses(
        command(ok).close_fds(false).with(windows{.handle_list = {reinterpret_cast<void*>(0x40)}}),
        "windows.handle_list", "close_fds(false)");
  }

  TEST_CASE("windows options: an exit code that Windows gave is named [T29]") {
    CHECK(to_string(exit_status::from_code(3221225477)) ==
          "exited with 0xC0000005 (access violation)");
    CHECK(to_string(exit_status::from_code(0xC000013A)) ==
          "exited with 0xC000013A (ended by Ctrl-C)");
    CHECK(exit_status::from_code(4294967295).exit_code() == 4294967295);
    CHECK(to_string(exit_status::from_code(4294967295)) == "exited with 0xFFFFFFFF");
    CHECK(to_string(exit_status::from_code(259)) == "exited with 259");
    CHECK(to_string(exit_status::from_code(2147483647)) == "exited with 2147483647");
    CHECK(detail::shown_code(-1) == "-1");
  }
}

} // namespace
