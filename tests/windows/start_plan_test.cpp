#include "platform_support.hpp"
#include "start_support.hpp"

#include <random>

#include <windows.h>

#include <shellapi.h>

namespace {

using namespace subproc;
using strings = std::vector<std::string>;
using test::helper;
using test::plan_of;
using test::refuses;

strings split_by_windows(const std::wstring& line) {
  int count = 0;
  wchar_t** words = ::CommandLineToArgvW(line.c_str(), &count);
  REQUIRE(words != nullptr);
  strings result;
  for (int i = 0; i < count; ++i) {
    result.push_back(detail::to_utf8(words[i]));
  }
  ::LocalFree(words);
  return result;
}

strings split_at_nulls(const std::string& text) {
  strings result;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\0', begin);
    result.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return result;
}

// Of the pieces that matter to who takes a line apart.
std::string random_text(std::mt19937& random) {
  static const strings pieces{"\"",
                              "\\",
                              "\\\\",
                              "\\\"",
                              "\"\"",
                              " ",
                              "\t",
                              "\n",
                              "\r\n",
                              "a",
                              "b c",
                              "%x%",
                              "&",
                              "^",
                              "'",
                              "*",
                              "?",
                              "\xc3\xa4",
                              "\xe2\x82\xac",
                              "\xf0\x9f\x98\x80",
                              "$",
                              "|",
                              ">",
                              "-",
                              "/",
                              "\x01"};
  std::string text;
  for (auto left = random() % 9; left > 0; --left) {
    text += pieces[random() % pieces.size()];
  }
  return text;
}

command random_command(std::mt19937& random, const std::string& program, std::size_t most) {
  command cmd(program);
  for (auto left = random() % (most + 1); left > 0; --left) {
    cmd.arg(random_text(random));
  }
  return cmd;
}

TEST_SUITE("windows start") {
  TEST_CASE("windows start: Windows takes a line apart into the same arguments") {
    std::mt19937 random(20240229);
    for (int i = 0; i < 3000; ++i) {
      const command cmd = random_command(random, helper("arguments"), 6);
      REQUIRE(split_by_windows(plan_of(cmd).command_line) == cmd.args());
    }
  }

  TEST_CASE("windows start: a child gets the arguments that it was given") {
    std::mt19937 random(19700101);
    for (int i = 0; i < 6; ++i) {
      const command cmd = random_command(random, helper("arguments"), 200);
      REQUIRE(split_at_nulls(test::output_of(plan_of(cmd))) == cmd.args());
    }
  }

  TEST_CASE("windows start: argument 0 is the caller's, whatever is executed") {
    const std::string program = helper("arguments");
    for (const char* name : {"own name", "", "a\\", "a b\\", "x\n", "\xf0\x9f\x98\x80"}) {
      const command cmd = command(name, "x").executable(program);
      CHECK(split_by_windows(plan_of(cmd).command_line) == strings{name, "x"});
      if (test::under_wine() && name == std::string("a b\\")) {
        test::excuse("argument 0 that is quoted and ends with a backslash: Wine's C run-time takes "
                     "that for an escape; Windows documents that argument 0 has none");
      } else {
        CHECK(split_at_nulls(test::output_of(plan_of(cmd))) == strings{name, "x"});
      }
    }
    refuses(command("a\"b").executable(program), "args", "argument 0 'a\"b' holds a '\"'");
  }

  TEST_CASE("windows start: a raw line is passed as it is, the program is no part of it [K114]") {
    const test::scratch_folder folder;
    const std::string copy = folder.path("with space.exe");
    std::filesystem::copy_file(plan_of(command(helper("arguments"))).application,
                               detail::to_wide(copy));
    const std::string script = folder.path("a script");
    CHECK(split_at_nulls(test::output_of(plan_of(command(copy, script)))) == strings{copy, script});
    const std::string line = "\"" + copy + "\" \"" + script + "\" x\"y z\"";
    const command raw = command(copy).with(windows{.raw_command_line = line});
    CHECK(plan_of(raw).command_line == detail::to_wide(line));
    CHECK(split_at_nulls(test::output_of(plan_of(raw))) == strings{copy, script, "xy z"});
  }

  TEST_CASE("windows start: a line beyond 32,766 characters is refused") {
    const std::string program = helper("arguments");
    const std::size_t rest = 32766 - plan_of(command(program, "x")).command_line.size() + 1;
    CHECK(plan_of(command(program, std::string(rest, 'x'))).command_line.size() == 32766);
    refuses(command(program, std::string(rest + 1, 'x')), "args",
            "the command line has 32767 characters, Windows takes 32766");
    refuses(command(program).with(windows{.raw_command_line = std::string(32767, 'x')}), "args",
            "32767 characters");
  }

  TEST_CASE("windows start: what is no UTF-8 is refused by the option's name") {
    const std::string program = helper("arguments");
    refuses(command(program, "ok", "\xff"), "args", "argument 2");
    refuses(command("\xff").executable(program), "args", "argument 0");
    refuses(command("\xff"), "args", "valid UTF-8");
    refuses(command("x").executable("\xff"), "executable", "valid UTF-8");
    refuses(command(program).cwd("\xff"), "cwd", "valid UTF-8");
    refuses(command(program).env({{"A", "\xff"}}), "env", "the value of A");
    refuses(command(program).env({{"\xff", "x"}}), "env", "valid UTF-8");
    refuses(command(program).with(windows{.title = "\xff"}), "windows.title", "valid UTF-8");
    refuses(command(program).with(windows{.desktop = "\xff"}), "windows.desktop", "valid UTF-8");
    refuses(command(program).with(windows{.raw_command_line = "\xff"}), "windows.raw_command_line",
            "valid UTF-8");
  }

  TEST_CASE("windows start: a directory that is not there is told as that") {
    const test::scratch_folder folder;
    const std::string program = helper("arguments");
    const spawn_error missing =
        test::spawn_error_of([&] { plan_of(command(program).cwd(folder.path("none"))); });
    CHECK(missing.step() == spawn_step::chdir);
    CHECK(missing.path() == folder.path("none"));
    CHECK(missing.code() == std::errc::no_such_file_or_directory);
    const spawn_error file =
        test::spawn_error_of([&] { plan_of(command(program).cwd(folder.file("file"))); });
    CHECK(file.step() == spawn_step::chdir);
    CHECK(file.code().value() == ERROR_DIRECTORY);
    CHECK(plan_of(command(program).cwd(folder.path())).directory == detail::to_wide(folder.path()));
  }

  TEST_CASE("windows start: flags and the rest are passed, and are as they were [K110]") {
    const windows given{.creation_flags = windows::create_no_window,
                        .show_window = windows::show_maximized,
                        .title = "t\xc3\xa4",
                        .desktop = "d",
                        .priority = windows::idle_priority_class,
                        .handle_list = {reinterpret_cast<void*>(0x40)},
                        .breakaway = true};
    const command cmd = command(helper("arguments")).with(given);
    for (int twice = 0; twice < 2; ++twice) {
      const detail::start_plan plan = plan_of(cmd);
      CHECK(plan.creation_flags ==
            (CREATE_NO_WINDOW | IDLE_PRIORITY_CLASS | CREATE_BREAKAWAY_FROM_JOB));
      CHECK(plan.show_window == SW_SHOWMAXIMIZED);
      CHECK((plan.title == L"t\x00e4"));
      CHECK((plan.desktop == L"d"));
      CHECK(plan.handles == given.handle_list);
      CHECK(*cmd.get<windows>() == given);
    }
    const detail::start_plan plain = plan_of(command(helper("arguments")));
    CHECK(plain.creation_flags == 0);
    CHECK_FALSE((plain.show_window || plain.title || plain.desktop || plain.environment));
  }

  TEST_CASE("windows start: the constants are those of the Windows headers") {
    CHECK(windows::create_suspended == CREATE_SUSPENDED);
    CHECK(windows::detached_process == DETACHED_PROCESS);
    CHECK(windows::create_new_console == CREATE_NEW_CONSOLE);
    CHECK(windows::create_new_process_group == CREATE_NEW_PROCESS_GROUP);
    CHECK(windows::create_breakaway_from_job == CREATE_BREAKAWAY_FROM_JOB);
    CHECK(windows::create_default_error_mode == CREATE_DEFAULT_ERROR_MODE);
    CHECK(windows::create_no_window == CREATE_NO_WINDOW);
    CHECK(windows::idle_priority_class == IDLE_PRIORITY_CLASS);
    CHECK(windows::below_normal_priority_class == BELOW_NORMAL_PRIORITY_CLASS);
    CHECK(windows::normal_priority_class == NORMAL_PRIORITY_CLASS);
    CHECK(windows::above_normal_priority_class == ABOVE_NORMAL_PRIORITY_CLASS);
    CHECK(windows::high_priority_class == HIGH_PRIORITY_CLASS);
    CHECK(windows::realtime_priority_class == REALTIME_PRIORITY_CLASS);
    CHECK(windows::hide == SW_HIDE);
    CHECK(windows::show_normal == SW_SHOWNORMAL);
    CHECK(windows::show_minimized == SW_SHOWMINIMIZED);
    CHECK(windows::show_maximized == SW_SHOWMAXIMIZED);
    CHECK(windows::show_no_activate == SW_SHOWNOACTIVATE);
    CHECK(windows::show_minimized_no_activate == SW_SHOWMINNOACTIVE);
  }

  TEST_CASE("windows start: a shell is the interpreter that %ComSpec% names in full") {
    const test::fake_variable comspec(L"ComSpec", L"D:\\own\\cmd.exe");
    const detail::start_plan plan = plan_of(shell("echo \"a b\" & x"));
    CHECK(plan.application == L"D:\\own\\cmd.exe");
    CHECK(plan.command_line == L"\"D:\\own\\cmd.exe\" /c \"echo \"a b\" & x\"");
    CHECK(plan.show_window == SW_HIDE);
    CHECK(plan_of(shell("x").with(windows{.show_window = windows::show_normal})).show_window ==
          SW_SHOWNORMAL);
    refuses(shell("echo", "more"), "args", "no further arguments");
  }

  TEST_CASE("windows start: without a full %ComSpec% the shell is below %SystemRoot%, or none") {
    for (const wchar_t* partial : {L"cmd.exe", L".\\cmd.exe", L"\\cmd.exe", L"C:cmd.exe", L""}) {
      const test::fake_variable comspec(L"ComSpec", partial);
      const test::fake_variable root(L"SystemRoot", L"E:\\win");
      CHECK(plan_of(shell("x")).application == L"E:\\win\\System32\\cmd.exe");
    }
    const test::fake_variable comspec(L"ComSpec", std::nullopt);
    const test::fake_variable root(L"SystemRoot", std::nullopt);
    const spawn_error error = test::spawn_error_of([] { plan_of(shell("x")); });
    CHECK(error.code() == std::errc::no_such_file_or_directory);
    CHECK(error.step() == spawn_step::exec);
    CHECK(std::string(error.what())
              .find("shell not found: neither %ComSpec% nor %SystemRoot% is set") !=
          std::string::npos);
  }

  TEST_CASE("windows start: a shell sees the environment that it was given [K113]") {
    const command cmd = shell("set").env(environment::inherit().set("FRUIT", "a b"));
    CHECK(test::output_of(plan_of(cmd)).find("FRUIT=a b\r\n") != std::string::npos);
    CHECK(test::output_of(plan_of(shell("echo \"x  y\"&echo z"))) == "\"x  y\"\r\nz\r\n");
  }
}

} // namespace
