#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "own_process.hpp"
#include "refused_calls.hpp"
#include "run_part_as.hpp"

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>
#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace subproc;
using namespace subproc::test;

namespace {

constexpr std::array launchers{launcher_kind::none, launcher_kind::vfork, launcher_kind::fork};
constexpr int nobody_here = 54321;
constexpr int witness = 9; // a pipe that the parent and its child hold open

// In the child: its parent dies now, before the child can have asked for a signal.
int kill_parent(void*) {
  const long parent = ::syscall(SYS_getppid);
  ::syscall(SYS_kill, parent, SIGKILL);
  while (::syscall(SYS_getppid) == parent) {
    ::syscall(SYS_sched_yield);
  }
  return 0;
}

command witnessed(command cmd) {
  return cmd.in(null).out(null).err(null).pass_fds({witness}).die_with_parent();
}

// In a process of its own: starts a child as the part says, and is killed.
void be_killed_parent(const std::string& part) {
  asio::io_context context;
  std::optional<process> child;
  const command forever = witnessed(command(helper("forever")));
  if (part == "window") {
    child.emplace(context, witnessed(shell("echo it runs >&9")).pre_exec({kill_parent}));
  } else if (part == "user") {
    child.emplace(context, command(forever).user(nobody_here).group(nobody_here));
  } else if (part == "hook") {
    child.emplace(context, command(forever).pre_exec({succeed}));
  } else if (part == "async") {
    async_spawn(context, forever, [&](std::exception_ptr error, process started) {
      CHECK_FALSE(error);
      child.emplace(std::move(started));
    });
    context.run();
  } else if (part == "thread") {
    std::thread([&] { child.emplace(context, forever); }).join();
  } else {
    const auto kind = static_cast<launcher_kind>(std::stoi(part));
    child.emplace(context, command(forever).launcher(make_launcher(kind)));
  }
  REQUIRE(child);
  const std::string number = std::to_string(child->pid());
  REQUIRE(::write(witness, number.data(), number.size()) > 0);
  ::kill(::getpid(), SIGKILL);
}

// What was written, up to the end of the file, which only comes when parent and child are gone.
std::optional<std::string> last_words(int descriptor) {
  std::string words;
  char buffer[64];
  while (readable(descriptor)) {
    const ssize_t n = ::read(descriptor, buffer, sizeof buffer);
    if (n <= 0) {
      return words;
    }
    words.append(buffer, static_cast<std::size_t>(n));
  }
  ::kill(std::stoi(words), SIGKILL); // it lives on
  return std::nullopt;
}

std::optional<std::string> last_words_of_child(const std::string& part) {
  test_pipe life;
  const completed_process done =
      run(this_case(part).map_fds({{witness, life.write_end.get()}}).in(null));
  life.write_end.reset();
  CHECK_MESSAGE(done.status.signal() == SIGKILL, done.out);
  return last_words(life.read_end.get());
}

} // namespace

TEST_SUITE("die_with_parent") {

  TEST_CASE("die_with_parent: a child outlives the thread that asked for it [A52] [T20]") {
    const leak_check leaks;
    asio::io_context context;
    for (const launcher_kind kind : launchers) {
      CAPTURE(to_string(kind));
      const command cat = command("cat").in(piped).out(piped).die_with_parent();
      std::optional<process> child;
      std::thread([&] {
        child.emplace(context, command(cat).launcher(make_launcher(kind)));
      }).join();
      std::string answer(5, '\0');
      asio::write(child->in(), asio::buffer("hello", 5));
      CHECK(asio::read(child->out(), asio::buffer(answer)) == 5);
      CHECK(answer == "hello");
      child->in().close();
      CHECK(child->wait().success());
    }
  }

  TEST_CASE("die_with_parent: the child dies when its parent is killed [A52] [T20]") {
    if (const std::string part = own_part(); !part.empty()) {
      be_killed_parent(part);
      return;
    }
    const leak_check leaks;
    std::vector<std::string> parts{"async", "thread", "hook"};
    for (const launcher_kind kind : launchers) {
      parts.push_back(std::to_string(static_cast<int>(kind)));
    }
    if (::geteuid() == 0) {
      parts.emplace_back("user"); // the kernel takes the signal back when credentials change
    }
    for (const std::string& part : parts) {
      CAPTURE(part);
      const auto words = last_words_of_child(part);
      CHECK(words);
      CHECK_FALSE(words.value_or("").empty()); // it had been there
    }
  }

  TEST_CASE("die_with_parent: no program starts whose parent has died before it asked [T20]") {
    if (const std::string part = own_part(); !part.empty()) {
      be_killed_parent(part);
      return;
    }
    const leak_check leaks;
    CHECK(last_words_of_child("window") == "");
  }

  TEST_CASE("die_with_parent: the mask that is to be kept is that of the caller [T10]") {
    const leak_check leaks;
    sigset_t one;
    sigset_t before;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    REQUIRE(pthread_sigmask(SIG_BLOCK, &one, &before) == 0);
    const command show = command("grep", "SigBlk", "/proc/self/status").die_with_parent();
    for (const launcher_kind kind : launchers) {
      CAPTURE(to_string(kind));
      const auto by = make_launcher(kind);
      CHECK(check_output(command(show).signals(signal_setup::keep).launcher(by)) ==
            "SigBlk:\t0000000000000200\n");
      CHECK(check_output(command(show).launcher(by)) == "SigBlk:\t0000000000000000\n");
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  TEST_CASE(
      "die_with_parent: where the system refuses it the error names it, and nothing is left") {
    if (!in_own_process()) {
      return;
    }
    refuse_from_now_on({{SYS_prctl, PR_SET_PDEATHSIG}}, EINVAL);
    const std::vector<int> before = open_descriptors();
    for (const launcher_kind kind : launchers) {
      CAPTURE(to_string(kind));
      const auto by = make_launcher(kind);
      const spawn_error refused = spawn_error_of(
          [&] { run(command("true").capture_output().die_with_parent().launcher(by)); });
      CHECK(refused.step() == spawn_step::die_with_parent);
      CHECK(refused.code() == std::errc::invalid_argument);
      CHECK(std::string(refused.what()).find("die_with_parent") != std::string::npos);
      CHECK(run(command("true").launcher(by)).status.success());
    }
    CHECK_FALSE(has_children());
    CHECK(open_descriptors() == before);
  }

  TEST_CASE("die_with_parent: errors and statuses are those of any start") {
    const leak_check leaks;
    const spawn_error missing = spawn_error_of([] { run(command("/no/such").die_with_parent()); });
    CHECK(missing.step() == spawn_step::exec);
    CHECK(missing.path() == "/no/such");
    CHECK(run(steps({"exit:3"}).die_with_parent()).status.exit_code() == 3);
  }

  TEST_CASE("die_with_parent: without a thread to make it on the start is refused") {
    if (own_part().empty()) {
      const leak_check leaks;
      run_part_as(nobody_here, "1");
      return;
    }
    rlimit before{};
    ::getrlimit(RLIMIT_NPROC, &before);
    const rlimit none{1, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NPROC, &none) == 0);
    const spawn_error refused = spawn_error_of([] { run(command("true").die_with_parent()); });
    REQUIRE(::setrlimit(RLIMIT_NPROC, &before) == 0);
    CHECK(refused.code() == std::errc::resource_unavailable_try_again);
    CHECK_MESSAGE(std::string(refused.what()).find("no thread") != std::string::npos,
                  refused.what());
  }

} // TEST_SUITE
