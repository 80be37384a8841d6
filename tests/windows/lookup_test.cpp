#include "platform_support.hpp"
#include "start_support.hpp"

#include <windows/program_lookup.hpp>

#include <windows.h>

namespace {

using namespace subproc;
using test::fake_variable;
using test::scratch_folder;

std::string found(const command& cmd) { return detail::to_utf8(detail::find_program(cmd)); }

spawn_error not_found(const command& cmd) {
  return test::spawn_error_of([&] { detail::find_program(cmd); });
}

bool is_missing(const command& cmd) {
  const spawn_error error = not_found(cmd);
  return error.code() == std::errc::no_such_file_or_directory && error.step() == spawn_step::exec &&
         error.path() == cmd.args().front();
}

// The working directory of this process for the length of a scope.
class working_directory {
public:
  explicit working_directory(const std::string& path) : before_(std::filesystem::current_path()) {
    std::filesystem::current_path(detail::to_wide(path));
  }
  working_directory(const working_directory&) = delete;
  working_directory& operator=(const working_directory&) = delete;
  ~working_directory() { std::filesystem::current_path(before_); }

private:
  std::filesystem::path before_;
};

environment path_is(const std::string& path) { return {{"Path", path}}; }

TEST_SUITE("windows lookup") {
  TEST_CASE("windows lookup: an ending is taken from PATHEXT, in its order") {
    const scratch_folder folder;
    const fake_variable endings(L"PATHEXT", L".com;.ONE;.two;nonsense;;.\\x");
    folder.file("a.two");
    folder.file("b.two");
    folder.file("b.one");
    folder.file("c");
    const environment env = path_is(folder.path());
    CHECK(found(command("a").env(env)) == folder.path("a.two"));
    CHECK(found(command("b").env(env)) == folder.path("b.ONE"));
    CHECK(found(command("a.two").env(env)) == folder.path("a.two"));
    CHECK(is_missing(command("c").env(env)));
    CHECK(found(command(folder.path("c"))) == folder.path("c"));
    CHECK(found(command(folder.path("a"))) == folder.path("a.two"));
    CHECK(found(command("b").env(path_is(folder.path()).set("PathExt", ".two"))) ==
          folder.path("b.two"));
  }

  TEST_CASE("windows lookup: a name with a dot may still need its ending") {
    const scratch_folder folder;
    const fake_variable endings(L"PATHEXT", L".EXE");
    folder.file("tool.v2.exe");
    CHECK(found(command("tool.v2").env(path_is(folder.path()))) == folder.path("tool.v2.EXE"));
  }

  TEST_CASE("windows lookup: the PATH is the child's when it is given, else the caller's") {
    const scratch_folder theirs;
    const scratch_folder ours;
    theirs.file("tool.exe");
    ours.file("tool.exe");
    const fake_variable path(L"PATH", detail::to_wide(ours.path()));
    CHECK(found(command("tool.exe")) == ours.path("tool.exe"));
    CHECK(found(command("tool.exe").env(environment::inherit())) == ours.path("tool.exe"));
    CHECK(found(command("tool.exe").env(path_is(theirs.path()))) == theirs.path("tool.exe"));
    CHECK(found(command("tool.exe").env(environment::inherit().set("pAtH", theirs.path()))) ==
          theirs.path("tool.exe"));
    CHECK(is_missing(command("tool.exe").env({})));
    CHECK(is_missing(command("tool.exe").env(environment::inherit().unset("path"))));
  }

  TEST_CASE("windows lookup: a program of the working directory alone is not found [K146]") {
    const fake_variable endings(L"PATHEXT", L".BAT;.EXE");
    const scratch_folder here;
    const scratch_folder elsewhere;
    here.file("tool.exe");
    here.file("other.bat");
    here.folder("sub");
    here.file("sub\\tool.exe");
    const working_directory inside(here.path());
    for (const std::string& path :
         {std::string(), std::string("."), std::string(".;;sub;\\;/"), elsewhere.path() + ";"}) {
      CAPTURE(path);
      CHECK(is_missing(command("tool").env(path_is(path))));
      CHECK(is_missing(command("other").env(path_is(path))));
      CHECK(is_missing(command("tool.exe").env(path_is(path)).cwd(here.path())));
    }
    CHECK(found(command(".\\tool")) == here.path("tool.EXE"));
    CHECK(found(command("sub/tool")) == here.path("sub\\tool.EXE"));
  }

  TEST_CASE("windows lookup: a relative program is seen from the child's directory") {
    const fake_variable endings(L"PATHEXT", L".EXE");
    const scratch_folder here;
    const scratch_folder there;
    there.file("tool.exe");
    there.folder("sub");
    here.file("other.exe");
    const working_directory inside(here.path());
    CHECK(found(command(".\\tool.exe").cwd(there.path())) == there.path("tool.exe"));
    CHECK(found(command("..\\tool.exe").cwd(there.path("sub"))) == there.path("tool.exe"));
    CHECK(is_missing(command(".\\other.exe").cwd(there.path())));
    CHECK(found(command(here.path("other.exe")).cwd(there.path())) == here.path("other.exe"));
    CHECK(found(command("own name").executable(".\\tool").cwd(there.path())) ==
          there.path("tool.EXE"));
  }

  TEST_CASE("windows lookup: folders of PATH may be in quotes, and are taken in order") {
    const scratch_folder outer;
    const std::string odd = outer.folder("a;b");
    const std::string second = outer.folder("second");
    outer.file("a;b\\tool.exe");
    outer.file("second\\tool.exe");
    outer.file("second\\more.exe");
    const std::string path = outer.path("none") + ";\"" + odd + "\";" + second;
    CHECK(found(command("tool.exe").env(path_is(path))) == odd + "\\tool.exe");
    CHECK(found(command("more.exe").env(path_is(path))) == second + "\\more.exe");
    CHECK(found(command("tool.exe").env(path_is(second + ";\"" + odd + "\""))) ==
          second + "\\tool.exe");
  }

  TEST_CASE("windows lookup: directories are passed over") {
    const scratch_folder outer;
    outer.folder("first\\tool.exe");
    outer.folder("second");
    outer.file("second\\tool.exe");
    CHECK(
        found(command("tool.exe").env(path_is(outer.path("first") + ';' + outer.path("second")))) ==
        outer.path("second\\tool.exe"));
    const spawn_error error = not_found(command(outer.path("first\\tool.exe")));
    CHECK(error.code() == std::errc::permission_denied);
    CHECK(std::string(error.what()).find("it is a directory") != std::string::npos);
  }

  TEST_CASE("windows lookup: long paths are found") {
    const scratch_folder outer;
    std::wstring folder = L"\\\\?\\" + detail::to_wide(outer.path());
    for (int i = 0; i < 3; ++i) {
      folder += L'\\' + std::wstring(100, L'x');
      REQUIRE(::CreateDirectoryW(folder.c_str(), nullptr));
    }
    const std::wstring file = folder + L"\\tool.exe";
    REQUIRE(::CopyFileW(test::plan_of(command(test::helper("arguments"))).application.c_str(),
                        file.c_str(), FALSE));
    const std::string plain = detail::to_utf8(file.substr(4));
    CHECK(detail::find_program(command(plain)) == file);
    CHECK(detail::find_program(
              command("tool.exe").env(path_is(detail::to_utf8(folder.substr(4))))) == file);
    if (test::under_wine()) {
      test::excuse("a program at a path beyond 260 characters: Wine's CreateProcessW does not find "
                   "it; Windows documents that the prefix lifts the limit");
    } else {
      CHECK(test::output_of(test::plan_of(command("name").executable(plain))) ==
            std::string("name", 5));
    }
    ::DeleteFileW(file.c_str());
    for (int i = 0; i < 3; ++i) {
      ::RemoveDirectoryW(folder.c_str());
      folder.resize(folder.find_last_of(L'\\'));
    }
    CHECK(detail::extended_path(L"\\\\host\\" + std::wstring(300, L'x')) ==
          L"\\\\?\\UNC\\host\\" + std::wstring(300, L'x'));
    CHECK(detail::extended_path(L"C:\\x") == L"C:\\x");
  }

  TEST_CASE("windows lookup: which paths are absolute") {
    for (const wchar_t* path : {L"C:\\", L"c:/x", L"\\\\host\\share", L"\\\\?\\C:\\x"}) {
      CHECK(detail::is_absolute(path));
    }
    for (const wchar_t* path :
         {L"", L"C:", L"C:x", L"\\x", L"/x", L"x\\y", L".", L"1:\\", L"\\\\"}) {
      CHECK_FALSE(detail::is_absolute(path));
    }
  }
}

} // namespace
