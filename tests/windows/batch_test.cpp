#include "start_support.hpp"

#include <filesystem>
#include <fstream>

#include <windows.h>

namespace {

using namespace subproc;
using test::plan_of;
using test::refuses;
using test::scratch_folder;

const windows trusting{.trust_batch_arguments = true};

TEST_SUITE("windows batch") {
  TEST_CASE("windows batch: unsafe arguments are refused, however the file is named [T53] [K145]") {
    const scratch_folder folder;
    for (const char* name : {"a.bat", "b.cmd", "c.BAT", "d.CmD", "e f.bat"}) {
      folder.file(name);
    }
    const environment env = environment::inherit().set("PATH", folder.path());
    const std::string quote = "\"";
    for (const command& file :
         {command(folder.path("a.bat")), command(folder.path("a.BAT")),
          command(folder.path("b.cmd")), command(folder.path("c.BAT")),
          command(folder.path("d.CmD")), command(folder.path("e f.bat")),
          command(folder.path("a.bat. .")), command(folder.path("a.bat ")),
          command(folder.path("a.bat...")), command(folder.path("a")), command(folder.path("b")),
          command("a").env(env), command("a.bat").env(env), command("b").env(env),
          command("harmless.exe").executable(folder.path("a.bat"))}) {
      CAPTURE(file.args().front());
      for (const std::string& argument :
           {std::string("a&b"), std::string("%PATH%"), quote, quote + "&calc.exe",
            std::string("a\nb"), std::string("a\r"), std::string("x|y"), std::string("<in"),
            std::string(">out"), std::string("a^b"), std::string("!x!"), std::string("(x"),
            std::string("y)"), std::string("end\\"), std::string("%"), std::string("a b\\"),
            std::string("%CMDCMDLINE:~-1%&calc.exe")}) {
        CAPTURE(argument);
        command cmd = file;
        refuses(cmd.arg("fine").arg(argument), "args", "argument 2");
        CHECK_FALSE(plan_of(cmd.with(trusting)).command_line.empty());
      }
    }
  }

  TEST_CASE("windows batch: cmd.exe is given the file by its full path, and no name to look for") {
    const scratch_folder folder;
    const std::string file = folder.file("tool.bat");
    const test::fake_variable comspec(L"ComSpec", L"C:\\own\\cmd.exe");
    const detail::start_plan plan =
        plan_of(command("tool", "plain", "a b", "a=b", "", "c,d", "/x").executable(file));
    CHECK(plan.application == L"C:\\own\\cmd.exe");
    CHECK(plan.command_line == L"\"C:\\own\\cmd.exe\" /d /e:on /v:off /s /c \"\"" +
                                   detail::to_wide(file) +
                                   L"\" plain \"a b\" \"a=b\" \"\" \"c,d\" /x\"");
    CHECK_FALSE(plan.show_window);
  }

  TEST_CASE("windows batch: a path that cmd.exe would read is refused as well") {
    const scratch_folder folder;
    for (const char* name : {"100%.bat", "a&b.bat", "a!.bat", "a^.bat"}) {
      const command cmd(folder.file(name));
      refuses(cmd, "args", "the path of the batch file");
      CHECK_FALSE(plan_of(command(cmd).with(trusting)).command_line.empty());
    }
  }

  TEST_CASE("windows batch: a path that cmd.exe does not take is refused, trusted or not") {
    const scratch_folder folder;
    const std::string file = folder.file("tool.bat");
    std::wstring long_folder = L"\\\\?\\" + detail::to_wide(folder.path());
    for (int i = 0; i < 2; ++i) {
      long_folder += L'\\' + std::wstring(120, L'x');
      REQUIRE(::CreateDirectoryW(long_folder.c_str(), nullptr));
    }
    const std::wstring long_file = long_folder + L"\\tool.bat";
    REQUIRE(::CopyFileW(detail::to_wide(file).c_str(), long_file.c_str(), FALSE));
    for (const std::string& path :
         {detail::to_utf8(long_file.substr(4)), "\\\\?\\" + file, "\\\\.\\" + file}) {
      refuses(command(path), "args", "cmd.exe does not take");
      refuses(command(path).with(trusting), "args", "cmd.exe does not take");
    }
    ::DeleteFileW(long_file.c_str());
    for (int i = 0; i < 2; ++i) { // remove_all takes no long path
      ::RemoveDirectoryW(long_folder.c_str());
      long_folder.resize(long_folder.find_last_of(L'\\'));
    }
  }

  TEST_CASE("windows batch: whatever parts arguments for cmd.exe is put between quotes") {
    const scratch_folder folder;
    const std::string file = folder.path("tool.bat");
    std::ofstream(std::filesystem::path(detail::to_wide(file))) << "@echo [%~1] [%~2]\r\n";
    for (const char separator : std::string(" \t\v\f,;=")) {
      const std::string argument = std::string("a") + separator + 'b';
      CAPTURE(argument);
      CHECK(plan_of(command(file, argument))
                .command_line.ends_with(L" \"" + detail::to_wide(argument) + L"\"\""));
      CHECK(test::output_of(plan_of(command(file, argument))) == '[' + argument + "] []\r\n");
    }
  }

  TEST_CASE("windows batch: a raw line needs trust, a long one is refused") {
    const scratch_folder folder;
    const std::string file = folder.file("tool.cmd");
    refuses(command(file).with(windows{.raw_command_line = "x"}), "windows.raw_command_line",
            "trust_batch_arguments");
    const detail::start_plan plan = plan_of(
        command(file).with(windows{.raw_command_line = "x y", .trust_batch_arguments = true}));
    CHECK(plan.command_line.ends_with(L" /c \"x y\""));
    refuses(command(file, std::string(8192, 'x')), "args", "a batch file takes 8191");
  }

  TEST_CASE("windows batch: nothing of a refused one runs, a safe one gets its arguments") {
    const scratch_folder folder;
    const std::string file = folder.path("tool.bat");
    std::ofstream(std::filesystem::path(detail::to_wide(file))) << "@echo [%1] [%2] [%~3]\r\n";
    CHECK(test::output_of(plan_of(command(file, "one", "2", "a b"))) == "[one] [2] [a b]\r\n");
    const std::string trace = folder.path("trace");
    refuses(command(file, "x&echo y>" + trace), "args", "'&'");
    CHECK_FALSE(std::filesystem::exists(detail::to_wide(trace)));
  }

  TEST_CASE("windows batch: programs are no batch files") {
    const scratch_folder folder;
    for (const char* name : {"bat.exe", "a.bat.exe", "b.batx", "batch", "cmd.com"}) {
      const std::string file = folder.file(name);
      CHECK(plan_of(command(file, "a&b", "%x%")).application == detail::to_wide(file));
    }
  }
}

} // namespace
