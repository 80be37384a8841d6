#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"

#include <asio/io_context.hpp>
#include <asio/use_future.hpp>
#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <stdlib.h>

using namespace subproc;
using namespace subproc::test;

namespace fs = std::filesystem;

namespace {

constexpr std::array launchers{launcher_kind::none, launcher_kind::vfork, launcher_kind::fork};

// A folder of the test's own, with programs that say who they are.
class programs {
public:
  programs() {
    std::string name = (fs::temp_directory_path() / "subproc-lookup-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    root_ = name;
  }
  programs(const programs&) = delete;
  programs& operator=(const programs&) = delete;
  ~programs() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  std::string path(const std::string& name) const { return (root_ / name).string(); }

  // A file; one that starts with "#!/bin/sh" says its text when it runs.
  void write(const std::string& name, const std::string& text, bool executable = true) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
    fs::permissions(root_ / name, executable ? fs::perms::owner_all
                                             : fs::perms::owner_read | fs::perms::owner_write);
  }
  void program(const std::string& name, const std::string& says) const {
    write(name, "#!/bin/sh\necho \"" + says + "\"\n");
  }
  void folder(const std::string& name) const { fs::create_directories(root_ / name); }

private:
  fs::path root_;
};

// PATH of this process, and its working directory, for as long as it lives.
class surroundings {
public:
  surroundings(const std::string& path, const std::string& directory)
      : old_directory_(fs::current_path()) {
    if (const char* const old = std::getenv("PATH")) {
      old_path_ = old;
    }
    ::setenv("PATH", path.c_str(), 1);
    fs::current_path(directory);
  }
  surroundings(const surroundings&) = delete;
  surroundings& operator=(const surroundings&) = delete;
  ~surroundings() {
    fs::current_path(old_directory_);
    if (old_path_) {
      ::setenv("PATH", old_path_->c_str(), 1);
    } else {
      ::unsetenv("PATH");
    }
  }

private:
  std::optional<std::string> old_path_;
  fs::path old_directory_;
};

environment with_path(const std::string& path) { return environment().set("PATH", path); }

// What the program says that is found, or the error of the start, by each launcher alike.
std::string found(const command& cmd) {
  std::string answer;
  for (const launcher_kind kind : launchers) {
    std::string one;
    try {
      one = run(command(cmd).launcher(make_launcher(kind)).out(piped).err(piped)).out;
      one = one.substr(0, one.find('\n'));
    } catch (const spawn_error& error) {
      const std::errc code = static_cast<std::errc>(error.code().value());
      one = code == std::errc::no_such_file_or_directory ? "ENOENT"
            : code == std::errc::permission_denied       ? "EACCES"
            : code == std::errc::executable_format_error ? "ENOEXEC"
            : code == std::errc::not_a_directory         ? "ENOTDIR"
                                                         : error.what();
      const std::string named = cmd.executable().value_or(cmd.args().front());
      if (error.step() != spawn_step::exec || error.path() != named) {
        one += std::string(" at ") + to_string(error.step()) + " of " + error.path();
      }
    }
    if (!answer.empty() && one != answer) {
      return answer + ", but by " + to_string(kind) + ' ' + one;
    }
    answer = one;
  }
  return answer;
}

} // namespace

TEST_SUITE("program lookup") {

  TEST_CASE("program lookup: a relative program is looked up from the child's directory "
            "[T21] [K22] [K23]") {
    const leak_check leaks;
    const programs here;
    here.program("mine/tool", "the caller's");
    here.program("mine/bin/tool", "the caller's, below");
    here.program("child/tool", "the child's");
    here.program("child/bin/tool", "the child's, below");
    here.program("mine/other", "other");
    here.program("child/own", "the child's alone");
    const surroundings place(here.path("mine"), here.path("mine"));

    CHECK(found(command("./tool").cwd(here.path("child"))) == "the child's");
    CHECK(found(command("bin/tool").cwd(here.path("child"))) == "the child's, below");
    CHECK(found(command("./tool").cwd("../child")) == "the child's");
    CHECK(found(command("x").executable("./tool").cwd(here.path("child"))) == "the child's");
    CHECK(found(command("./own").cwd(here.path("child"))) == "the child's alone");
    CHECK(found(command("x").executable("./own").cwd("../child")) == "the child's alone");
    CHECK(found(command("./other").cwd(here.path("child"))) == "ENOENT");
    CHECK(found(command("x").executable("./other").cwd(here.path("child"))) == "ENOENT");
    CHECK(found(command("./tool")) == "the caller's");
    CHECK(found(command(here.path("mine/tool")).cwd(here.path("child"))) == "the caller's");
    CHECK(found(command(here.path("mine/tool")).cwd("/")) == "the caller's");
  }

  TEST_CASE("program lookup: relative and empty entries of PATH are the child's directory "
            "[T21] [K138]") {
    const leak_check leaks;
    const programs here;
    here.program("mine/tool", "the caller's");
    here.program("child/tool", "the child's");
    here.program("child/bin/tool", "the child's, below");
    const surroundings place("/bin:/usr/bin", here.path("mine"));

    for (const auto& [path, says] :
         std::vector<std::pair<std::string, std::string>>{{"bin", "the child's, below"},
                                                          {".", "the child's"},
                                                          {"", "the child's"},
                                                          {":/nowhere", "the child's"},
                                                          {"/nowhere:", "the child's"},
                                                          {"/nowhere::bin", "the child's"},
                                                          {"bin/:", "the child's, below"},
                                                          {"/nowhere", "ENOENT"}}) {
      const std::string& searched = path; // clang 14 captures no structured binding
      CAPTURE(searched);
      CHECK(found(command("tool").env(with_path(path)).cwd(here.path("child"))) == says);
    }
    // None at all is the system's folders, not the caller's and not the working directory.
    CHECK(found(command("tool").env({}).cwd(here.path("child"))) == "ENOENT");
    CHECK(found(command("echo", "system").env({}).cwd(here.path("child"))) == "system");
  }

  TEST_CASE("program lookup: PATH is that of the child's environment [T21]") {
    const leak_check leaks;
    const programs here;
    here.program("mine/tool", "the caller's");
    here.program("mine/only-mine", "the caller's");
    here.program("child/tool", "the child's");
    const surroundings place(here.path("mine"), "/");

    CHECK(found("tool") == "the caller's");
    CHECK(found(command("tool").env(environment::inherit())) == "the caller's");
    CHECK(found(command("tool").env(environment::clean())) == "the caller's");
    const environment childs = environment::inherit().set("PATH", here.path("child"));
    CHECK(found(command("tool").env(childs)) == "the child's");
    CHECK(found(command("x").executable("tool").env(childs)) == "the child's");
    CHECK(found(command("only-mine").env(childs)) == "ENOENT");
    // Without any PATH there are the system's folders, and never the caller's.
    CHECK(found(command("only-mine").env({})) == "ENOENT");
    CHECK(found(command("echo", "system").env({})) == "system");
    CHECK(found(command("echo", "system").env(environment::inherit().unset("PATH"))) == "system");
  }

  TEST_CASE("program lookup: what cannot run does not hide what comes later in PATH "
            "[T21] [K139] [K140]") {
    const leak_check leaks;
    const programs here;
    here.program("good/tool", "good");
    here.folder("folder/tool");
    here.write("plain/tool", "#!/bin/sh\necho plain\n", false);
    here.write("no-format/tool", "echo no format\n");
    here.write("file", "not a folder");
    here.folder("dangling");
    fs::create_symlink("/nowhere/tool", here.path("dangling/tool"));
    here.write("no-interpreter/tool", "#!/nowhere/interpreter\n");

    // first: the entry before the good one; alone: the error when it is all there is.
    for (const auto& [first, alone] :
         std::vector<std::pair<std::string, std::string>>{{"folder", "EACCES"},
                                                          {"plain", "EACCES"},
                                                          {"no-format", "ENOEXEC"},
                                                          {"file", "ENOENT"},
                                                          {"dangling", "ENOENT"},
                                                          {"no-interpreter", "ENOENT"},
                                                          {"missing", "ENOENT"}}) {
      const std::string& file = first;
      CAPTURE(file);
      const auto in = [](const std::string& path) {
        return found(command("tool").env(with_path(path)));
      };
      CHECK(in(here.path(first) + ':' + here.path("good")) == "good");
      if (first == "file") {
        CHECK(in(here.path(first)) == "ENOTDIR");
      } else {
        CHECK(in(here.path(first)) == alone);
        CHECK(found(command(here.path(first) + "/tool")) == alone);
      }
      // What was wrong is remembered beyond what is merely missing.
      CHECK(in(here.path(first) + ":/nowhere:" + here.path("missing")) == alone);
      CHECK(in("/nowhere:" + here.path(first) + ':' + here.path("missing")) == alone);
    }
    // The first of several errors is told.
    const std::string both = here.path("no-format") + ':' + here.path("plain");
    CHECK(found(command("tool").env(with_path(both))) == "ENOEXEC");
  }

  TEST_CASE("program lookup: argv[0] may be another name than the program's [T21] [K16] [K17]") {
    const leak_check leaks;
    const programs here;
    CHECK(found(command("own name", "-c", "echo $0").executable("/bin/sh")) == "own name");
    CHECK(found(command("", "-c", "echo \"<$0>\"").executable("sh")) == "<>");
    CHECK(found(command("/bin/sh", "-c", "echo wrong").executable("/nowhere/sh")) == "ENOENT");
    CHECK(found(command("/bin/sh", "-c", "echo wrong").executable("no-such-program")) == "ENOENT");
  }

  TEST_CASE("program lookup: a shell runs what the kernel cannot, only when asked [C41] [K142]") {
    const leak_check leaks;
    const programs here;
    here.write("path/tool", "echo \"tool $0 $*\"\n");
    here.write("-dash/tool", "echo \"dash $*\"\n");
    here.write("empty/tool", "");
    here.write("later/tool", "#!/bin/sh\necho later\n");
    const surroundings place("/bin:/usr/bin", here.path("."));
    const command by_path(here.path("path/tool"), "a b", "c");
    CHECK(found(by_path) == "ENOEXEC");
    CHECK(found(command(by_path).shell_fallback(false)) == "ENOEXEC");
    CHECK(found(command(by_path).shell_fallback()) == "tool " + here.path("path/tool") + " a b c");
    CHECK(found(command("path/tool").shell_fallback()) == "tool path/tool ");
    CHECK(found(command("other", "x").executable("path/tool").shell_fallback()) ==
          "tool path/tool x");
    // Looked up, it hides what comes later, as for execvp(3).
    const environment path = with_path(here.path("path") + ':' + here.path("later"));
    CHECK(found(command("tool", "x").env(path)) == "later");
    CHECK(found(command("tool", "x").env(path).shell_fallback()) ==
          "tool " + here.path("path/tool") + " x");
    // No name is taken for an option of the shell, and nothing else changes.
    CHECK(found(command("-dash/tool", "-c").shell_fallback()) == "dash -c");
    CHECK(found(command("tool", "-c").env(with_path("-dash")).shell_fallback()) == "dash -c");
    CHECK(run(command(here.path("empty/tool")).shell_fallback()).status.success());
    CHECK(found(command(here.path("later/tool")).shell_fallback()) == "later");
    CHECK(found(command("/no/such").shell_fallback()) == "ENOENT");
  }

  TEST_CASE("program lookup: relative entries of PATH are left out when asked [A3]") {
    const leak_check leaks;
    const programs here;
    here.program("child/tool", "the child's");
    here.program("child/bin/tool", "the child's, below");
    here.program("system/tool", "the system's");
    here.folder("child/folder/tool");
    const command tool = command("tool").cwd(here.path("child")).absolute_path_only();
    for (const char* const entry : {"", ".", "bin", "./bin", "../child"}) {
      CAPTURE(entry);
      const std::string only = std::string(entry) + ':';
      CHECK(found(command(tool).env(with_path(only + here.path("system")))) == "the system's");
      CHECK(found(command(tool).env(with_path(only))) == "ENOENT");
      const spawn_error error = spawn_error_of([&] { run(command(tool).env(with_path(only))); });
      const std::string what = error.what();
      CHECK_MESSAGE(what.find("absolute_path_only() leaves out '") != std::string::npos, what);
      CHECK(error.path() == "tool");
    }
    // Where it is not there either, nothing is said.
    const spawn_error missing =
        spawn_error_of([&] { run(command(tool).env(with_path("folder:nowhere"))); });
    CHECK(std::string(missing.what()).find("absolute_path_only") == std::string::npos);
    // What has a slash was not looked up.
    CHECK(found(command("./tool").cwd(here.path("child")).absolute_path_only()) == "the child's");
    CHECK(found(command("./tool").cwd(here.path("child")).absolute_path_only().shell_fallback()) ==
          "the child's");
  }

  TEST_CASE("program lookup: a script without #! is an error and never given to a shell [T22]") {
    const leak_check leaks;
    const programs here;
    here.write("bin/script", "echo shell\n");
    here.write("bin/empty", "");
    here.write("bin/binary", std::string("\x7f"
                                         "ELF\0\0\0",
                                         7));
    for (const std::string name : {"script", "empty", "binary"}) {
      CAPTURE(name);
      CHECK(found(command(here.path("bin/" + name))) == "ENOEXEC");
      CHECK(found(command("./" + name).cwd(here.path("bin"))) == "ENOEXEC");
      CHECK(found(command(name).env(with_path(here.path("bin")))) == "ENOEXEC");
    }
    CHECK(found(command("sh", here.path("bin/script"))) == "shell");
    CHECK(found(shell(". " + here.path("bin/script"))) == "shell");
  }

} // TEST_SUITE
