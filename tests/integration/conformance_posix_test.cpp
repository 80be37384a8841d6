// Rules of the reference beside descriptors, paths of bytes and the shell of POSIX.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "own_process.hpp"
#include "platform.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

using namespace subproc;
using namespace subproc::test;

namespace {

unique_handle open_file(const std::string& path, int flags) {
  unique_handle opened(::open(path.c_str(), flags | O_CLOEXEC));
  REQUIRE(opened);
  return opened;
}

} // namespace

TEST_SUITE("conformance") {

  TEST_CASE("conformance: stdout is ours while stderr is piped, also two levels deep [K15]") {
    if (!own_part().empty()) {
      const completed_process inner = run(steps({"say:banana", "warn:apple"}).err(piped));
      CHECK(inner.err == "apple\n");
      CHECK_FALSE(inner.out_captured);
      return;
    }
    const leak_check leaks;
    const completed_process outer = run(this_case("1"));
    check_part(outer);
    CHECK(outer.out.find("banana\n") != std::string::npos);
    test_pipe out;
    std::string err;
    {
      const redirected own_out(1, out.write_end.get());
      err = run(shell("sh -c 'echo banana; echo apple >&2'").err(piped)).err;
    }
    CHECK(err == "apple\n");
    CHECK(written_to(out) == "banana\n");
  }

  TEST_CASE("conformance: executable replaces the shell [K18]") {
    const leak_check leaks;
    const own_folder folder;
    std::filesystem::create_symlink("/bin/sh", folder / "own shell");
    CHECK(check_output(shell("echo \"$0\"").executable(folder / "own shell")) ==
          (folder / "own shell\n"));
    CHECK(check_output(shell("echo \"$0\"")) == "/bin/sh\n");
  }

  TEST_CASE("conformance: a path is as good as its string [K19]") {
    const leak_check leaks;
    const own_folder folder;
    const std::filesystem::path program =
        folder.write("program", "#!/bin/sh\necho \"$0 $1\"\npwd -P\n", 0755);
    const std::filesystem::path argument = "an/argument";
    const std::filesystem::path cwd = std::filesystem::canonical(folder.path());
    const std::string expected = program.string() + " an/argument\n" + cwd.string() + '\n';
    CHECK(check_output(command(program, argument).cwd(cwd)) == expected);
    CHECK(check_output(command("x", argument).executable(program).cwd(cwd)) == expected);
    CHECK(command(program, argument).cwd(cwd).executable(program) ==
          command(program.string(), "an/argument").cwd(cwd.string()).executable(program.string()));
  }

  TEST_CASE("conformance: bytes that are no text arrive unchanged [K20]") {
    const leak_check leaks;
    const own_folder folder;
    const std::string odd = "\xff\xfe\xc3(";
    const std::string cwd = std::filesystem::canonical(folder.path()).string() + '/' + odd;
    REQUIRE(std::filesystem::create_directory(cwd));
    folder.write(odd + '/' + odd, "#!/bin/sh\nprintf '%s|' \"$0\" \"$1\" \"$ODD\"; pwd -P\n", 0755);
    const environment env = environment::inherit().set("ODD", odd).set(odd, "value");
    CHECK(check_output(command("./" + odd, odd).cwd(cwd).env(env)) ==
          "./" + odd + '|' + odd + '|' + odd + '|' + cwd + '\n');
    CHECK(check_output(command("/usr/bin/env").env(environment().set(odd, odd))) ==
          odd + '=' + odd + '\n');
  }

  TEST_CASE("conformance: the child's directory is the one that is given [K21]") {
    const leak_check leaks;
    const own_folder folder;
    const std::filesystem::path there = std::filesystem::canonical(folder.path());
    const std::string expected = there.string() + '\n';
    const command pwd("/bin/pwd", "-P");
    CHECK(check_output(command(pwd).cwd(there.string())) == expected);
    CHECK(check_output(command(pwd).cwd(there)) == expected);
    const std::filesystem::path relative = std::filesystem::relative(there);
    REQUIRE(relative.is_relative());
    CHECK(check_output(command(pwd).cwd(relative)) == expected);
    CHECK(check_output(pwd) == std::filesystem::current_path().string() + '\n');
  }

  TEST_CASE("conformance: a descriptor is read from where it stands, a file from its start [K25]") {
    const leak_check leaks;
    const own_folder folder;
    const std::string path = folder.write("in", "first second");
    const unique_handle in = open_file(path, O_RDONLY);
    REQUIRE(::lseek(in.get(), 6, SEEK_SET) == 6);
    CHECK(check_output(steps({"echo:3"}).in(fd(in.get()))) == "sec");
    CHECK(::lseek(in.get(), 0, SEEK_CUR) == 9); // the offset is shared
    CHECK(check_output(steps({"echo"}).in(fd(in.get()))) == "ond");
    CHECK(check_output(steps({"echo"}).in(file(path))) == "first second");
  }

  TEST_CASE("conformance: what is written arrives in the pipe, descriptor or file [K26]") {
    const leak_check leaks;
    const own_folder folder;
    const command both = steps({"say:out", "warn:err"});
    const completed_process by_pipe = run(command(both).out(piped).err(piped));
    CHECK(by_pipe.out == "out\n");
    CHECK(by_pipe.err == "err\n");

    const unique_handle out = open_file(folder.write("out", "12"), O_WRONLY | O_APPEND);
    const unique_handle err = open_file(folder.write("err", ""), O_WRONLY);
    run(command(both).out(fd(out.get())).err(fd(err.get())));
    CHECK(folder.read("out") == "12out\n");
    CHECK(folder.read("err") == "err\n");
    CHECK(::fcntl(out.get(), F_GETFD) == FD_CLOEXEC);

    run(command(both).out(file(folder / "out")).err(file(folder / "err", open_mode::append)));
    CHECK(folder.read("out") == "out\n");
    CHECK(folder.read("err") == "err\nerr\n");
  }

  TEST_CASE("conformance: our own stdout may be given as a descriptor and stays open [K29]") {
    const leak_check leaks;
    test_pipe out;
    bool open = false;
    {
      const redirected own_out(1, out.write_end.get());
      run(steps({"say:theirs"}).out(fd(1)));
      open = ::write(1, "ours", 4) == 4;
    }
    CHECK(open);
    CHECK(written_to(out) == "theirs\nours");
  }

  TEST_CASE("conformance: pipes have the size that is asked for, or the kernel's [K32]") {
    if (excused_without(feature::pipe_size, "it needs a pipe of another size")) {
      return;
    }
    const leak_check leaks;
    asio::io_context context;
    const test_pipe plain;
    const int usual = ::fcntl(plain.read_end.get(), F_GETPIPE_SZ);
    const command cmd = steps({"read:1"}).in(piped).out(piped).err(piped);
    const auto has_size = [&](const command& each, int size) {
      process child(context, each);
      for (const int end :
           {child.in().native_handle(), child.out().native_handle(), child.err().native_handle()}) {
        CHECK(::fcntl(end, F_GETPIPE_SZ) == size);
      }
    };
    has_size(cmd, usual);
    has_size(command(cmd).pipe_size(usual / 2), usual / 2);
  }

  TEST_CASE("conformance: an environment replaces ours, also an empty one [K33] [K34]") {
    const leak_check leaks;
    const command env("/usr/bin/env");
    CHECK(check_output(env).find("PATH=") != std::string::npos);
    CHECK(check_output(command(env).env({{"FRUIT", "orange"}})) == "FRUIT=orange\n");
    CHECK(check_output(command(env).env({})) == "");
    CHECK(check_output(command(env).env(environment())) == "");
  }

  TEST_CASE("conformance: a shell has its script, its arguments and its environment [K87] [K144]") {
    const leak_check leaks;
    const environment env = environment::inherit().set("FRUIT", "apple");
    CHECK(check_output(shell("echo $FRUIT").env(env)) == "apple\n");
    const std::vector<std::string> spelled_out{"/bin/sh", "-c", "echo $FRUIT"};
    CHECK(check_output(command(spelled_out).env(env)) == "apple\n");
    CHECK(check_output(shell("echo $0 $1", "a", "b")) == "a b\n");
  }

  TEST_CASE("conformance: what a shell cannot run it says itself, and so the death of a child "
            "[K143]") {
    const leak_check leaks;
    const own_folder folder;
    const std::string plain = folder.write("plain", "text", 0644);
    CHECK(call(shell("no-such-command-here").err(null)) == exit_status::from_code(127));
    CHECK(call(shell(folder.path().string()).err(null)) == exit_status::from_code(126));
    CHECK(call(shell(plain).err(null)) == exit_status::from_code(126));
    CHECK(call(shell("sh -c 'kill -9 $$'; exit $?").err(null)) == exit_status::from_code(128 + 9));
    CHECK(call(shell("kill -9 $$")) == exit_status::from_signal(9));
    const spawn_error missing =
        spawn_error_of([] { run(shell("exit 0").executable("/nowhere/sh")); });
    CHECK(missing.code() == std::errc::no_such_file_or_directory);
    CHECK(missing.step() == spawn_step::exec);
    CHECK(missing.path() == "/nowhere/sh");
  }

} // TEST_SUITE
