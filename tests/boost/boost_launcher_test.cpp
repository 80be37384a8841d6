#include <subproc/interop/boost_process.hpp>

#include "../children.hpp"

#include <subproc/run.hpp>

#include <boost/asio/readable_pipe.hpp>
#include <boost/process/v2/start_dir.hpp>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace subproc;
using namespace subproc::test;
using namespace std::chrono_literals;
namespace bp = boost::process::v2;
using boost::system::error_code;

// An initializer of a user's own: counts what is asked of it, and does it.
struct own_initializer {
  std::atomic<int>* set_up = nullptr;
  std::atomic<int>* succeeded = nullptr;
  int setup_error = 0;
  int child_error = 0;
  bool child_throws = false;
  int umask = -1;

  template <class Launcher, class Path>
  error_code on_setup(Launcher&, const Path&, const char* const*) {
    if (set_up) {
      ++*set_up;
    }
    return {setup_error, boost::system::system_category()};
  }
  template <class Launcher, class Path>
  error_code on_exec_setup(Launcher&, const Path&, const char* const*) {
    if (child_throws) {
      throw std::runtime_error("in the child");
    }
    if (umask >= 0) {
      ::umask(static_cast<mode_t>(umask));
    }
    errno = child_error;
    return {child_error, boost::system::system_category()};
  }
  template <class Launcher, class Path>
  void on_success(Launcher&, const Path&, const char* const*) {
    if (succeeded) {
      ++*succeeded;
    }
  }
};

// Passes a descriptor on, as posix::bind_fd is meant to.
struct kept_descriptor {
  int target;
  int source;

  error_code on_setup(bp::posix::default_launcher& launcher, const bp::filesystem::path&,
                      const char* const*) {
    launcher.fd_whitelist.push_back(target);
    return {};
  }
  error_code on_exec_setup(bp::posix::default_launcher&, const bp::filesystem::path&,
                           const char* const*) {
    return ::dup2(source, target) == target ? error_code()
                                            : error_code(errno, boost::system::system_category());
  }
};

// Another argv, which initializers may set.
struct other_arguments {
  static inline const char* const argv[] = {"echo", "theirs", nullptr};

  template <class Launcher, class Path>
  error_code on_setup(Launcher&, const Path&, const char* const*& cmd_line) {
    cmd_line = argv;
    return {};
  }
};

std::vector<std::shared_ptr<launcher>> launchers() {
  return {make_boost_launcher(), make_boost_launcher<bp::posix::vfork_launcher>(),
          make_boost_launcher_by([](const auto& launch) { return launch(); })};
}

spawn_error refusal(const command& cmd) {
  try {
    run(cmd);
  } catch (const spawn_error& error) {
    return error;
  }
  FAIL("it was started");
  throw 0;
}

TEST_SUITE("boost_launcher") {
  TEST_CASE("boost launcher: the child is a process with pipes, exit, signals and communicate") {
    const leak_check leaks;
    const watchdog dog;
    for (const auto& by : launchers()) {
      asio::io_context context;
      process child(context, command("sort").in(piped).out(piped).launcher(by));
      communicate_result result;
      child.async_communicate("b\na\n", [&](const auto& ec, communicate_result got) {
        CHECK(!ec);
        result = std::move(got);
      });
      context.run();
      CHECK(result.out == "a\nb\n");
      CHECK(child.wait().success());
      CHECK(child.launched_by() == launcher_kind::custom);

      const completed_process ran =
          run(shell("echo out; echo err >&2; exit 3").capture_output().launcher(by));
      CHECK(ran.out == "out\n");
      CHECK(ran.err == "err\n");
      CHECK(ran.status.exit_code() == 3);

      process killed(context, command("sleep", "1000").launcher(by));
      killed.kill();
      CHECK(killed.wait().signal() == 9);
    }
  }

  TEST_CASE("boost launcher: a stop empties the group that the command asked for") {
    const leak_check leaks;
    const watchdog dog;
    for (const auto& by : launchers()) {
      asio::io_context context;
      process child(
          context,
          shell("sleep 1000 & echo started; wait").out(piped).process_group(0).launcher(by));
      CHECK(child.out().read_line() == "started");
      CHECK(child.stop(10s).survivors.empty());
    }
  }

  TEST_CASE("boost launcher: initializers of Boost's and of a user's own work") {
    const leak_check leaks;
    std::atomic<int> set_up = 0;
    std::atomic<int> succeeded = 0;
    own_initializer own;
    own.set_up = &set_up;
    own.succeeded = &succeeded;
    own.umask = 0123;
    const std::vector<std::string> variables{"COLOUR=blue"};
    const auto by = make_boost_launcher(bp::process_start_dir("/usr"), own);
    for (int i = 1; i <= 3; ++i) {
      const command cmd = shell("pwd; umask").out(piped).launcher(by);
      CHECK(run(cmd).out == "/usr\n0123\n");
      CHECK(set_up == i);
      CHECK(succeeded == i);
    }
    const auto with_environment = make_boost_launcher_by(
        [&](const auto& launch) { return launch(bp::process_environment(variables)); });
    CHECK(run(command("/usr/bin/env").out(piped).launcher(with_environment)).out ==
          "COLOUR=blue\n");
    const auto with_arguments = make_boost_launcher(other_arguments());
    CHECK(run(command("echo", "ours").out(piped).launcher(with_arguments)).out == "theirs\n");
  }

  TEST_CASE("boost launcher: streams that the command does not name are the initializers'") {
    const leak_check leaks;
    const own_folder folder;
    const auto by = make_boost_launcher_by([&](const auto& launch) {
      const unique_handle out(
          ::open((folder / "out").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
      return launch(bp::process_stdio{nullptr, out.get(), {}});
    });
    run(shell("cat; echo written").launcher(by));
    CHECK(folder.read("out") == "written\n");
    CHECK(run(shell("echo captured").out(piped).launcher(by)).out == "captured\n");
  }

  TEST_CASE("boost launcher: what the command says counts, whatever an initializer says") {
    const leak_check leaks;
    const std::vector<std::string> variables{"COLOUR=blue"};
    const auto by = make_boost_launcher_by([&](const auto& launch) {
      return launch(bp::process_start_dir("/usr"), bp::process_environment(variables));
    });
    const command cmd = command("/bin/sh", "-c", "pwd; echo $COLOUR; umask")
                            .cwd("/")
                            .env({{"COLOUR", "red"}})
                            .umask(027)
                            .out(piped)
                            .launcher(by);
    CHECK(run(cmd).out == "/\nred\n0027\n");
  }

  TEST_CASE("boost launcher: the program is looked up by our rules, in the child's PATH") {
    const leak_check leaks;
    const own_folder folder;
    folder.write("found", "#!/bin/sh\necho \"$0\"\n", 0700);
    for (const auto& by : launchers()) {
      environment with_path = environment::clean();
      with_path.set("PATH", folder.path().string());
      const completed_process done = run(command("found").env(with_path).out(piped).launcher(by));
      CHECK(done.out == folder / "found" + "\n");
    }
  }

  TEST_CASE("boost launcher: descriptors are closed but those that command or initializer keep") {
    const leak_check leaks;
    test_pipe open_one;
    // Gaps between open ones: Boost.Process 1.81 alone leaves them all open.
    const unique_handle inherited(::dup(open_one.read_end.get()));
    const unique_handle another(::fcntl(open_one.read_end.get(), F_DUPFD, 40));
    std::vector<std::shared_ptr<launcher>> all = launchers();
    for (const auto& by : all) {
      const completed_process plain = run(command(helper("descriptors")).out(piped).launcher(by));
      CHECK(std::count(plain.out.begin(), plain.out.end(), '\n') == 3);
    }
    const auto keeping = make_boost_launcher(kept_descriptor{60, open_one.read_end.get()});
    const completed_process kept =
        run(command(helper("descriptors"))
                .map_fds({{50, open_one.read_end.get()}, {70, open_one.read_end.get()}})
                .out(piped)
                .launcher(keeping));
    CHECK(std::count(kept.out.begin(), kept.out.end(), '\n') == 6);
    for (const char* const number : {"50 ", "60 ", "70 "}) {
      CHECK(kept.out.find('\n' + std::string(number)) != std::string::npos);
    }
  }

  TEST_CASE("boost launcher: a failed start names step and errno, and nothing is left") {
    const leak_check leaks;
    const watchdog dog;
    const own_folder folder;
    const std::string text = folder.write("text", "no program", 0600);
    for (int kind = 0; kind < 3; ++kind) {
      CAPTURE(kind);
      const auto by = launchers()[static_cast<std::size_t>(kind)];
      const spawn_error missing = refusal(command("/no/such").launcher(by));
      CHECK(missing.code() == std::errc::no_such_file_or_directory);
      CHECK(missing.step() == spawn_step::exec);
      CHECK(missing.path() == "/no/such");
      const spawn_error denied = refusal(command(text).launcher(by));
      CHECK(denied.code() == std::errc::permission_denied);
      const spawn_error nowhere = refusal(command("true").cwd("/no/such").launcher(by));
      CHECK(nowhere.step() == spawn_step::chdir);
      CHECK(nowhere.path() == "/no/such");
    }
    std::atomic<int> succeeded = 0;
    own_initializer own;
    own.succeeded = &succeeded;
    const auto by = make_boost_launcher(own);
    CHECK(refusal(command("/no/such").launcher(by)).step() == spawn_step::exec);
    CHECK(succeeded == 0);
  }

  TEST_CASE("boost launcher: the error of an initializer is the error of the start") {
    const leak_check leaks;
    const watchdog dog;
    own_initializer setup;
    setup.setup_error = EBUSY;
    const spawn_error in_caller = refusal(command("true").launcher(make_boost_launcher(setup)));
    CHECK(in_caller.code() == std::errc::device_or_resource_busy);
    CHECK(in_caller.step() == spawn_step::fork);
    own_initializer child;
    child.child_error = EDOM;
    const spawn_error in_child = refusal(command("true").launcher(make_boost_launcher(child)));
    CHECK(in_child.code() == std::errc::argument_out_of_domain);
    CHECK(in_child.step() == spawn_step::pre_exec);
    own_initializer throwing;
    throwing.child_throws = true;
    const spawn_error thrown = refusal(command("true").launcher(make_boost_launcher(throwing)));
    CHECK(thrown.code() == std::errc::operation_canceled);
    CHECK(thrown.step() == spawn_step::pre_exec);
  }

  TEST_CASE("boost launcher: a failed child runs nothing of the program's own exit") {
    const leak_check leaks;
    const own_folder folder;
    // In a program of its own, since what is registered here cannot be taken back.
    static std::string mark;
    mark = folder / "mark";
    const pid_t caller = ::getpid();
    static pid_t registered = 0;
    registered = caller;
    std::atexit([] {
      if (::getpid() != registered) {
        std::ofstream(mark) << "ran";
      }
    });
    for (const auto& by : launchers()) {
      CHECK(refusal(command("/no/such").launcher(by)).step() == spawn_step::exec);
    }
    CHECK(!std::filesystem::exists(mark));
  }

  TEST_CASE("boost launcher: what cannot be done this way is refused by name") {
    const leak_check leaks;
    const auto by = make_boost_launcher();
    CHECK(refusal(command("true").die_with_parent().launcher(by)).path() == "die_with_parent");
    const auto shares = make_boost_launcher<bp::posix::vfork_launcher>();
    CHECK(refusal(command("true").user(0).launcher(shares)).path() == "user");
    CHECK(refusal(command("true").group(0).launcher(shares)).path() == "group");
    CHECK(refusal(command("true").extra_groups({}).launcher(shares)).path() == "extra_groups");
    const pre_exec_hook hook{[](void*) { return 0; }};
    CHECK(refusal(command("true").pre_exec(hook).launcher(shares)).path() == "pre_exec");
    CHECK(run(command("true").pre_exec(hook).launcher(by)).status.success());
  }

  TEST_CASE("boost launcher: eight threads start children while a loop runs, and none hangs") {
    const leak_check leaks;
    const watchdog dog(120s);
    const auto by = make_boost_launcher_by([](const auto& launch) { return launch(); });
    std::atomic<int> succeeded = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        for (int start = 0; start < times(20); ++start) {
          asio::io_context context;
          process child(context, command("true").launcher(by));
          child.async_wait(
              [&](const auto& ec, exit_status status) { succeeded += !ec && status.success(); });
          context.run();
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(succeeded == 8 * times(20));
  }
}

} // namespace
