// The start itself: what goes on around it in other threads, what its failures do to the caller,
// what it costs, and who the child then is.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "own_process.hpp"
#include "platform.hpp"
#include "refused_calls.hpp"
#include "run_part_as.hpp"

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

constexpr std::array launchers{launcher_kind::none, launcher_kind::vfork, launcher_kind::fork};
constexpr int nobody_here = 54321; // a user and a group that own nothing

command nothing() { return command(helper("nothing")); }

// What a part wrote; empty when it had to be left out.
std::string output_of(const command& part) {
  const completed_process done = run(part);
  return check_part(done) ? done.out : std::string();
}

std::vector<std::string> lines_with(const std::string& text, const std::string& word) {
  std::vector<std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(word) != std::string::npos) {
      found.push_back(line);
    }
  }
  return found;
}

/// Threads that do the same again and again for as long as it lives.
class churn {
public:
  explicit churn(const std::vector<std::function<void()>>& jobs) {
    for (const auto& job : jobs) {
      threads_.emplace_back([this, job] {
        while (!done_) {
          job();
          std::this_thread::yield();
        }
      });
    }
  }
  churn(const churn&) = delete;
  churn& operator=(const churn&) = delete;
  ~churn() {
    done_ = true;
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }

private:
  std::atomic<bool> done_ = false;
  std::vector<std::thread> threads_;
};

// Each takes locks of libc: those of malloc, of the environment, of streams and of signal actions.
void use_memory() {
  std::vector<std::unique_ptr<std::string>> blocks;
  for (std::size_t size = 1; size < 100'000; size *= 3) {
    blocks.push_back(std::make_unique<std::string>(size, 'x'));
  }
}

void use_environment() { ::setenv("SUBPROC_CHURN", "value", 1); }

void use_streams() {
  if (std::FILE* const file = std::fopen("/dev/null", "we")) {
    std::fputs("text", file);
    std::fclose(file);
  }
}

void use_signal_actions() {
  struct sigaction action {};
  ::sigaction(SIGUSR2, nullptr, &action);
  ::sigaction(SIGUSR2, &action, nullptr);
}

// From now on the call fails with EPERM, here and in all children.
void refuse_from_now_on(long call) {
  std::array<sock_filter, 4> filter{
      sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, static_cast<unsigned>(call)},
      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
    std::_Exit(left_out);
  }
}

void say_at_exit() { std::printf("at exit in %d\n", static_cast<int>(::getpid())); }

// Also what runs on by mistake says who it is.
void check_fails(command cmd, spawn_step step) {
  for (const launcher_kind kind : launchers) {
    CAPTURE(to_string(kind));
    CHECK(spawn_error_of([&] { run(cmd.launcher(make_launcher(kind))); }).step() == step);
    std::printf("\ngoing on in %d\n", static_cast<int>(::getpid()));
    std::fflush(stdout);
  }
}

int fail_with_enotty(void*) { return ENOTTY; }

std::vector<int> known; // what was open before

// Puts what is no report into the pipe for it: the only one that was not open before.
int spoil_report(void*) {
  for (int number = 3; number < 64; ++number) {
    const int flags = ::fcntl(number, F_GETFL);
    if (flags >= 0 && (flags & O_ACCMODE) == O_WRONLY &&
        !std::binary_search(known.begin(), known.end(), number)) {
      return ::write(number, "odd", 3) == 3 ? 0 : EIO;
    }
  }
  return ENOENT;
}

char own_variable[] = "FRUIT=apple";
char* own_environment[] = {own_variable, nullptr};

int set_variable(void*) {
  environ = own_environment;
  return 0;
}

int exit_with_3(void*) { ::_exit(3); }

// The calls by which a part has made processes, as strace saw them; empty where it cannot.
std::vector<std::string> forks_of(const std::string& part) {
  const own_folder folder;
  const command one = this_case(part);
  std::vector<std::string> args{"strace",        "-f", "-e", "trace=clone,clone3,fork,vfork", "-o",
                                folder / "trace"};
  args.insert(args.end(), one.args().begin(), one.args().end());
  try {
    if (!check_part(run(command(args).env(*one.env()).out(piped).err(merge)))) {
      return {};
    }
  } catch (const spawn_error&) {
    return {};
  }
  std::vector<std::string> calls;
  for (const std::string& line : lines_with(folder.read("trace"), "(")) {
    const bool resumed = line.find("resumed>") != std::string::npos;
    if (!resumed && line.find("CLONE_THREAD") == std::string::npos) {
      calls.push_back(line);
    }
  }
  return calls;
}

int pause_a_moment(void*) {
  const timespec moment{0, 200'000};
  ::syscall(SYS_nanosleep, &moment, nullptr); // raw: a sanitizer's wrapper takes locks
  return 0;
}

// The fields of /proc/self/status that tell who a child is, each without its blanks.
struct identity {
  std::string uids;
  std::string gids;
  std::string groups;

  friend bool operator==(const identity&, const identity&) = default;
};

identity identity_of_child(command cmd) {
  const completed_process done =
      run(std::move(cmd).executable("/bin/cat").arg("/proc/self/status").out(piped));
  REQUIRE(done.status.success());
  const auto field = [&](const std::string& name) {
    std::string values;
    std::istringstream line(lines_with(done.out, name + ":").at(0).substr(name.size() + 1));
    for (std::string value; line >> value;) {
      values += (values.empty() ? "" : " ") + value;
    }
    return values;
  };
  return {field("Uid"), field("Gid"), field("Groups")};
}

std::string four_times(const std::string& id) { return id + ' ' + id + ' ' + id + ' ' + id; }

using clock_type = std::chrono::steady_clock;

// Memory that a fork would have to copy page by page.
class touched_memory {
public:
  explicit touched_memory(std::size_t size) : size_(size) {
    at_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(at_ != MAP_FAILED);
    ::madvise(at_, size_, MADV_NOHUGEPAGE);
    for (std::size_t i = 0; i < size_; i += 4096) {
      static_cast<volatile char*>(at_)[i] = 1;
    }
  }
  touched_memory(const touched_memory&) = delete;
  touched_memory& operator=(const touched_memory&) = delete;
  ~touched_memory() { ::munmap(at_, size_); }

private:
  std::size_t size_;
  void* at_;
};

// In kilobytes; 0 when it is not known.
unsigned long available_memory() {
  std::ifstream lines("/proc/meminfo");
  for (std::string name; lines >> name;) {
    if (unsigned long value = 0; name == "MemAvailable:" && lines >> value) {
      return value;
    }
  }
  return 0;
}

class folder {
public:
  folder() {
    std::string name = std::filesystem::temp_directory_path() / "subproc.XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  ~folder() { std::filesystem::remove_all(path_); }

  std::string operator/(const std::string& name) const { return path_ / name; }

private:
  std::filesystem::path path_;
};

// Writes an executable as a compiler or a downloader does.
void write_program(const std::string& path, const std::string& bytes) {
  const unique_handle out(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  REQUIRE(out);
  REQUIRE(::write(out.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  REQUIRE(::fchmod(out.get(), 0700) == 0);
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

} // namespace

TEST_SUITE("spawn") {

  TEST_CASE("spawn: locks that other threads hold at that moment stop no start [T1]") {
    const leak_check leaks;
    const watchdog guard(std::chrono::seconds(170));
    constexpr int spawners = 4;
    constexpr int each = 10'000 / spawners;
    const auto by_vfork = make_launcher(launcher_kind::vfork);
    const auto by_fork = make_launcher(launcher_kind::fork);
    std::atomic<int> ended = 0;
    {
      asio::io_context context;
      auto work = asio::make_work_guard(context);
      asio::steady_timer timer(context);
      std::function<void(error_code)> tick = [&](error_code ec) {
        if (!ec && ended < spawners * each) {
          timer.expires_after(100us);
          timer.async_wait(tick);
        }
      };
      asio::post(context, [&] { tick({}); });
      const churn others({use_memory, use_environment, use_streams, use_signal_actions});
      std::vector<std::thread> threads;
      for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] { context.run(); });
      }
      for (int s = 0; s < spawners; ++s) {
        threads.emplace_back([&] {
          for (int i = 0; i < each; ++i) {
            // With an environment of its own, since the caller's is being changed.
            auto cmd = nothing().env({});
            if (i % 10 < 2) {
              cmd.launcher(i % 10 == 0 ? by_fork : by_vfork);
            }
            auto child = std::make_shared<process>(context, cmd);
            child->async_wait([child, &ended](error_code ec, exit_status status) {
              ended += !ec && status.success() ? 1 : 0;
            });
          }
        });
      }
      for (std::size_t i = 4; i < threads.size(); ++i) {
        threads[i].join();
      }
      work.reset();
      for (std::size_t i = 0; i < 4; ++i) {
        threads[i].join();
      }
    }
    ::unsetenv("SUBPROC_CHURN");
    CHECK(ended == spawners * each);
  }

  TEST_CASE("spawn: whichever step fails, the child never goes on in the caller's code [T2]") {
    constexpr int steps_that_fail = 9;
    if (own_part().empty()) {
      const leak_check leaks;
      const std::string out = output_of(this_case("1"));
      const std::vector<std::string> going_on = lines_with(out, "going on in");
      CHECK_MESSAGE((out.empty() || going_on.size() == steps_that_fail * launchers.size()), out);
      CHECK_MESSAGE(std::count(going_on.begin(), going_on.end(), going_on.front()) ==
                        static_cast<long>(going_on.size()),
                    out);
      CHECK_MESSAGE(lines_with(out, "at exit in").size() == 1, out);
      return;
    }
    std::atexit(say_at_exit);
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const int too_high = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 30));
    const test_pipe gate;
    check_fails(command("true").map_fds({{too_high, gate.read_end.get()}}), spawn_step::dup2);
    check_fails(command("true").cwd("/nowhere"), spawn_step::chdir);
    check_fails(command("true").pre_exec({fail_with_enotty}), spawn_step::pre_exec);
    check_fails(command("/no/such"), spawn_step::exec);
    // The others cannot fail for root; each filter stays, so the last of them goes first.
    const int user = static_cast<int>(::geteuid());
    const int group = static_cast<int>(::getegid());
    if (::geteuid() == 0) {
      refuse_from_now_on(SYS_setresuid);
      check_fails(command("true").user(user).group(group), spawn_step::setuid);
      refuse_from_now_on(SYS_setresgid);
    } else {
      check_fails(command("true").user(0), spawn_step::setuid);
      refuse_from_now_on(SYS_setresgid);
    }
    check_fails(command("true").group(group), spawn_step::setgid);
    refuse_from_now_on(SYS_setgroups);
    check_fails(command("true").extra_groups({}).group(group), spawn_step::setgroups);
    refuse_from_now_on(SYS_setpgid);
    check_fails(command("true").process_group(0), spawn_step::setpgid);
    refuse_from_now_on(SYS_setsid);
    check_fails(command("true").new_session(), spawn_step::setsid);
  }

  TEST_CASE("spawn: a failed exec writes nothing of the caller's twice [T3]") {
    if (own_part().empty()) {
      const leak_check leaks;
      const std::string out = output_of(this_case("1"));
      CHECK_MESSAGE(lines_with(out, "still in the buffer").size() == 1, out);
      CHECK_MESSAGE(lines_with(out, "at exit in").size() == 1, out);
      CHECK_MESSAGE(lines_with(out, "static object ends").size() == 1, out);
      return;
    }
    static const struct at_end {
      ~at_end() { std::puts("static object ends"); }
    } object;
    std::atexit(say_at_exit);
    std::printf("still in the buffer\n"); // stdout is a pipe here, and buffered
    for (const launcher_kind kind : launchers) {
      const auto by = make_launcher(kind);
      CHECK_THROWS_AS(run(command("/no/such").launcher(by)), spawn_error);
      CHECK_THROWS_AS(run(command("/no/such").launcher(by).capture_output()), spawn_error);
    }
  }

  TEST_CASE("spawn: a caller with much memory is not copied [T6]") {
    const leak_check leaks;
    constexpr std::size_t size = std::size_t{1} << 30U;
    const char* const preloaded = std::getenv("LD_PRELOAD");
    const bool valgrind =
        preloaded != nullptr && std::string(preloaded).find("vgpreload") != std::string::npos;
    if (sanitized || valgrind || available_memory() < 2 * (size >> 10U)) {
      MESSAGE("left out: needs 2 GiB of memory, and a vfork that is one");
      return;
    }
    const command by_default = nothing();
    const command by_vfork = nothing().launcher(make_launcher(launcher_kind::vfork));
    const auto kind = run(by_default).launched_by;
    CHECK((kind == launcher_kind::clone3 || kind == launcher_kind::vfork));
    CHECK(run(by_vfork).launched_by == launcher_kind::vfork);
    const touched_memory memory(size);
    CHECK(run(by_default).launched_by == kind);
    CHECK(run(by_vfork).launched_by == launcher_kind::vfork);
  }

  TEST_CASE("spawn: a program just written runs, whatever other threads start meanwhile [T17]") {
    const leak_check leaks;
    const watchdog guard;
    const folder own;
    const std::string program = read_file(helper("nothing"));
    // Each of their children holds our file open for writing until its exec, and takes its time.
    const auto storm = [] { run(nothing().pre_exec({pause_a_moment})); };
    const churn others({storm, storm, storm});
    for (int i = 0; i < times(200); ++i) {
      const std::string path = own / std::to_string(i);
      write_program(path, i % 2 == 0 ? program : "#!/bin/sh\nexit 0\n");
      CHECK(run(command(path)).status.success());
      std::filesystem::remove(path);
    }
  }

  TEST_CASE("spawn: a program that stays open for writing is refused as busy [T17]") {
    const leak_check leaks;
    const folder own;
    write_program(own / "program", "#!/bin/sh\nexit 0\n");
    {
      const unique_handle writer(::open((own / "program").c_str(), O_WRONLY | O_CLOEXEC));
      REQUIRE(writer);
      const spawn_error busy = spawn_error_of([&] { run(command(own / "program")); });
      CHECK(busy.code() == std::errc::text_file_busy);
      CHECK(busy.step() == spawn_step::exec);
      CHECK(busy.path() == own / "program");
    }
    CHECK(run(command(own / "program")).status.success());
  }

  TEST_CASE("spawn: no room for a process is an error that says so, and leaves nothing "
            "[T18] [K84]") {
    if (own_part().empty()) {
      const leak_check leaks;
      run_part_as(nobody_here, "1");
      return;
    }
    const leak_check leaks;
    rlimit before{};
    ::getrlimit(RLIMIT_NPROC, &before);
    for (const launcher_kind kind : launchers) {
      CAPTURE(to_string(kind));
      const command cmd = command("true").capture_output().input("x").launcher(make_launcher(kind));
      const rlimit none{1, before.rlim_max};
      REQUIRE(::setrlimit(RLIMIT_NPROC, &none) == 0);
      for (int i = 0; i < times(100); ++i) {
        const spawn_error full = spawn_error_of([&] { run(cmd); });
        CHECK(full.code() == std::errc::resource_unavailable_try_again);
        CHECK(full.step() == spawn_step::fork);
        CHECK(std::string(full.what()).find("fork") != std::string::npos);
      }
      CHECK_FALSE(has_children());
      REQUIRE(::setrlimit(RLIMIT_NPROC, &before) == 0);
      CHECK(run(cmd).status.success());
    }
  }

  TEST_CASE("spawn: without room for a thread async_spawn still calls its handler") {
    if (own_part().empty()) {
      const leak_check leaks;
      run_part_as(nobody_here, "1");
      return;
    }
    rlimit before{};
    ::getrlimit(RLIMIT_NPROC, &before);
    const rlimit none{1, before.rlim_max};
    asio::io_context context;
    int calls = 0;
    REQUIRE(::setrlimit(RLIMIT_NPROC, &none) == 0);
    async_spawn(context, command("true"), [&](std::exception_ptr error, const process&) {
      ++calls;
      CHECK(error); // no room for a process either
    });
    context.run();
    CHECK(calls == 1);
    REQUIRE(::setrlimit(RLIMIT_NPROC, &before) == 0);
  }

  TEST_CASE("spawn: the child is the user, of the groups, that were asked for [T19]") {
    if (::geteuid() != 0) {
      MESSAGE("left out: needs root");
      return;
    }
    const leak_check leaks;
    const identity own = identity_of_child(command("cat"));
    const auto id = std::to_string(nobody_here);
    struct who {
      command cmd;
      identity expected;
    };
    const command cat("cat");
    const std::vector<who> table{
        // Without groups given, the caller's do not stay with another user.
        {command(cat).user(nobody_here).group(7), {four_times(id), four_times("7"), ""}},
        // Groups can be set only by a user who may: they come before the user.
        {command(cat).user(nobody_here).group(nobody_here).extra_groups({9, 5, 7}),
         {four_times(id), four_times(id), "5 7 9"}},
        {command(cat).user("root").group("root").extra_groups({"root"}),
         {four_times("0"), four_times("0"), "0"}},
        {command(cat).group(7), {own.uids, four_times("7"), own.groups}},
        {command(cat).extra_groups({3}), {own.uids, own.gids, "3"}},
        {command(cat).extra_groups({}), {own.uids, own.gids, ""}},
    };
    for (const auto& [cmd, expected] : table) {
      const identity got = identity_of_child(cmd);
      CHECK(got.uids == expected.uids);
      CHECK(got.gids == expected.gids);
      CHECK(got.groups == expected.groups);
      CHECK(run(command(cmd).arg("/dev/null")).launched_by == launcher_kind::fork);
    }
    CHECK(identity_of_child(cat) == own); // the caller is who it was
    // It cannot become root again.
    CHECK_FALSE(
        run(command("sh", "-c", "kill -0 $PPID 2>/dev/null").user(nobody_here).group(nobody_here))
            .status.success());
  }

  TEST_CASE("spawn: the child is the user, by number or name, in all three ids [T19] [K74]") {
    const passwd* const nobody = ::geteuid() == 0 ? ::getpwnam("nobody") : nullptr;
    if (nobody == nullptr) {
      MESSAGE("left out: needs root, and a user nobody");
      return;
    }
    const leak_check leaks;
    const auto uid = nobody->pw_uid;
    const identity expected{four_times(std::to_string(uid)),
                            four_times(std::to_string(nobody->pw_gid)), ""};
    for (const account& who : {account(static_cast<long long>(uid)), account("nobody")}) {
      for (const bool close : {true, false}) {
        CHECK(identity_of_child(command("cat").user(who).close_fds(close)) == expected);
      }
    }
  }

  TEST_CASE("spawn: the child is of the group, by number or name, or is refused [T19] [K77]") {
    if (!own_part().empty()) {
      const spawn_error refused = spawn_error_of([] { run(command("true").group(0)); });
      CHECK(refused.code() == std::errc::operation_not_permitted);
      CHECK(refused.step() == spawn_step::setgid);
      CHECK(refused.path() == "");
      return;
    }
    const leak_check leaks;
    run_part_as(nobody_here, "1");
    for (const account& who :
         std::vector<account>{-1, 4294967295, std::numeric_limits<long long>::max(), "no-such"}) {
      const spawn_error wrong = spawn_error_of([&] { run(command("true").group(who)); });
      CHECK(wrong.code() == std::errc::invalid_argument);
      CHECK(wrong.step() == spawn_step::arguments);
      CHECK(wrong.path() == "group");
    }
    const group* const daemons = ::geteuid() == 0 ? ::getgrnam("daemon") : nullptr;
    if (daemons == nullptr) {
      MESSAGE("left out: needs root, and a group daemon");
      return;
    }
    const auto gid = daemons->gr_gid;
    for (const account& who : {account(static_cast<long long>(gid)), account("daemon")}) {
      for (const bool close : {true, false}) {
        CHECK(identity_of_child(command("cat").group(who).close_fds(close)).gids ==
              four_times(std::to_string(gid)));
      }
    }
  }

  TEST_CASE("spawn: extra groups are those, none, or refused [T19] [K78]") {
    const leak_check leaks;
    for (const std::vector<account>& wrong : std::vector<std::vector<account>>{
             {-1}, {1, 4294967295}, {"no-such"}, std::vector<account>(65'537, 1)}) {
      const spawn_error refused = spawn_error_of([&] { run(command("true").extra_groups(wrong)); });
      CHECK(refused.code() == std::errc::invalid_argument);
      CHECK(refused.step() == spawn_step::arguments);
      CHECK(refused.path() == "extra_groups");
    }
    const group* const daemons = ::geteuid() == 0 ? ::getgrnam("daemon") : nullptr;
    if (daemons == nullptr) {
      MESSAGE("left out: needs root, and a group daemon");
      return;
    }
    const std::string gid = std::to_string(daemons->gr_gid);
    CHECK(identity_of_child(command("cat").extra_groups({"daemon", 54321})).groups ==
          gid + " 54321");
    CHECK(identity_of_child(command("cat").extra_groups({})).groups == "");
  }

  TEST_CASE("spawn: the directory is entered as the old user, the program executed as the new "
            "[K75]") {
    if (::geteuid() != 0) {
      MESSAGE("left out: needs root");
      return;
    }
    const leak_check leaks;
    const own_folder closed; // for all but root
    closed.write("program", "#!/bin/sh\nexit 0\n", 0755);
    const command cmd = command("./program").cwd(closed.path());
    CHECK(run(cmd).status.success());
    const spawn_error refused =
        spawn_error_of([&] { run(command(cmd).user(nobody_here).group(nobody_here)); });
    CHECK(refused.code() == std::errc::permission_denied);
    CHECK(refused.step() == spawn_step::exec);
    CHECK(refused.path() == "./program");
  }

  TEST_CASE("spawn: users and groups that are not allowed are refused at their step "
            "[T19] [K75]") {
    if (own_part().empty()) {
      const leak_check leaks;
      run_part_as(nobody_here, "1");
      return;
    }
    const leak_check leaks;
    const identity own = identity_of_child(command("cat"));
    struct forbidden {
      command cmd;
      spawn_step step;
    };
    const std::vector<forbidden> table{
        {command("true").user(0), spawn_step::setuid},
        {command("true").group(0), spawn_step::setgid},
        {command("true").extra_groups({0}), spawn_step::setgroups},
        {command("true").user(0).group(0).extra_groups({0}), spawn_step::setgroups},
        {command("true").user(0).cwd("/nowhere"), spawn_step::chdir},
    };
    for (const auto& [cmd, step] : table) {
      const spawn_error error = spawn_error_of([&, &what = cmd] { run(what); });
      CHECK(error.step() == step);
      CHECK((error.code() == std::errc::operation_not_permitted) == (step != spawn_step::chdir));
      CHECK(error.path() == (step == spawn_step::chdir ? "/nowhere" : ""));
    }
    // What one is already is allowed to all.
    CHECK(identity_of_child(command("cat").user(::getuid()).group(::getgid())) == own);
  }

  TEST_CASE("spawn: no program starts with ids that were only said to have changed [T19]") {
    if (const std::string part = own_part(); !part.empty()) {
      const auto check = [](const command& cmd, spawn_step step) {
        const spawn_error error = spawn_error_of([&] { run(cmd); });
        CHECK(error.step() == step);
        CHECK(error.code() == std::errc::operation_not_permitted);
        CHECK(std::string(error.what()).find("ids are not those asked for") != std::string::npos);
        CHECK_FALSE(has_children());
      };
      constexpr int no_error = 0;
      if (part == "groups") {
        test::refuse_from_now_on({{SYS_setgroups}}, no_error);
        check(command("true").extra_groups({1, 2, 3, 4, 5, 6, 7}), spawn_step::setgroups);
      } else if (part == "group") {
        test::refuse_from_now_on({{SYS_setresgid}}, no_error);
        check(command("true").group(nobody_here), spawn_step::setgid);
      } else {
        test::refuse_from_now_on({{SYS_setresuid}}, no_error);
        check(command("true").user(nobody_here).group(nobody_here), spawn_step::setuid);
      }
      return;
    }
    if (::geteuid() != 0) {
      MESSAGE("left out: needs root");
      return;
    }
    const leak_check leaks;
    for (const char* const part : {"groups", "group", "user"}) {
      run_part(part);
    }
  }

  TEST_CASE("spawn: the child takes its steps in the documented order") {
    if (excused_without(feature::cpus, "its steps are those of src/linux")) {
      return;
    }
    const std::string part = own_part();
    if (part == "limits" || part == "credentials") {
      command cmd = command("/bin/true")
                        .cwd("/")
                        .umask(022)
                        .new_session()
                        .with(limits{.rlimits = {{"core", 0, 0}}, .nice = 1, .oom_score_adj = 500})
                        .die_with_parent();
      if (part == "credentials") {
        cmd.user(nobody_here).group(nobody_here).extra_groups({1});
      }
      run(cmd);
      return;
    }
    if (::access("/usr/bin/strace", X_OK) != 0 || sanitized) {
      MESSAGE("left out: needs strace, and a program without a sanitizer");
      return;
    }
    const std::string before_ids =
        "chdir umask setsid close_range openat write close setpriority prlimit64 ";
    const std::string ids = "setgroups setresgid setresuid getgroups getresgid getresuid ";
    const folder own;
    for (const std::string kind : {"limits", "credentials"}) {
      if (kind == "credentials" && ::geteuid() != 0) {
        MESSAGE("left out: needs root");
        continue;
      }
      CAPTURE(kind);
      const command inner = this_case(kind);
      command traced("strace", "-f", "-qq", "-o", own / "trace");
      for (const std::string& arg : inner.args()) {
        traced.arg(arg);
      }
      REQUIRE(run(traced.env(*inner.env()).out(null).err(null)).status.success());
      std::ifstream file(own / "trace");
      std::vector<std::string> lines;
      std::string child;
      for (std::string line; std::getline(file, line);) {
        lines.push_back(line);
        if (line.find(" execve(\"/bin/true\"") != std::string::npos) {
          child = line.substr(0, line.find(' '));
        }
      }
      REQUIRE_FALSE(child.empty());
      std::string steps;
      for (const std::string& line : lines) {
        const std::size_t name = line.find_first_not_of(' ', line.find(' '));
        if (!line.starts_with(child + ' ') || line[name] == '<') {
          continue;
        }
        const std::string call = line.substr(name, line.find('(') - name);
        if (call == "execve") {
          break;
        }
        // Signals are the business of other tests, and libc's fork adds a call of its own. A first
        // close_range only parts the tables, several ones leave something between them open.
        const bool counts = !call.starts_with("rt_sig") && call != "set_robust_list" &&
                            line.find("UNSHARE") == std::string::npos;
        if (counts && !steps.ends_with(' ' + call + ' ')) {
          steps += call + ' ';
        }
      }
      const std::string expected = kind == "limits" ? "chdir umask setsid openat write close "
                                                      "setpriority prlimit64 prctl getppid "
                                                    : before_ids + ids + "prctl getppid ";
      CHECK(steps == expected);
    }
  }

  TEST_CASE("spawn: directory, mask of modes, group and session are the child's alone "
            "[K71] [K72] [K73] [K79]") {
    const leak_check leaks;
    const folder own;
    const std::string here = std::filesystem::current_path();
    for (const launcher_kind kind : launchers) {
      CAPTURE(to_string(kind));
      const auto by = make_launcher(kind);
      const auto output = [&](command cmd) { return check_output(std::move(cmd).launcher(by)); };
      const std::string there = std::filesystem::canonical(own / ".");
      CHECK(output(command("pwd", "-P").cwd(own / ".").env({{"PATH", "/bin:/usr/bin"}})) ==
            there + '\n');
      const mode_t before = ::umask(022);
      CHECK(output(command("sh", "-c", "umask").umask(0)) == "0000\n");
      CHECK(output(command("sh", "-c", "umask").umask(0777)) == "0777\n");
      CHECK(output(command("sh", "-c", "umask")) == "0022\n");
      CHECK(run(command("sh", "-c", ": >made-" + std::string(to_string(kind)))
                    .umask(053)
                    .cwd(own / ".")
                    .launcher(by))
                .status.success());
      struct stat made {};
      REQUIRE(::stat((own / ("made-" + std::string(to_string(kind)))).c_str(), &made) == 0);
      CHECK((made.st_mode & 0777) == 0624);
      CHECK(::umask(before) == 022);

      asio::io_context context;
      const command cat = command("cat").in(piped).out(null).launcher(by);
      const process plain(context, cat);
      CHECK(::getpgid(plain.pid()) == ::getpgrp());
      const process leader(context, command(cat).process_group(0));
      CHECK(::getpgid(leader.pid()) == leader.pid());
      CHECK(::getsid(leader.pid()) == ::getsid(0));
      const process member(context, command(cat).process_group(leader.pid()));
      CHECK(::getpgid(member.pid()) == leader.pid());
      const process apart(context, command(cat).new_session());
      CHECK(::getsid(apart.pid()) == apart.pid());
      CHECK(::getsid(apart.pid()) != ::getsid(0));
      CHECK(::getpgid(apart.pid()) == apart.pid());
      // A group of another session cannot be joined.
      const spawn_error refused =
          spawn_error_of([&] { process(context, command(cat).process_group(apart.pid())); });
      CHECK(refused.step() == spawn_step::setpgid);
      CHECK(refused.code() == std::errc::operation_not_permitted);
      CHECK(refused.path() == "");
    }
    CHECK(std::filesystem::current_path() == here);
  }

  TEST_CASE("spawn: a report that cannot be read is an error, and the child is reaped [K69]") {
    const leak_check leaks;
    const watchdog guard;
    known = open_descriptors();
    for (int i = 0; i < 20; ++i) {
      const spawn_error odd = spawn_error_of([] { run(command("true").pre_exec({spoil_report})); });
      CHECK(odd.code() == errc::bad_report);
      CHECK(odd.step() == spawn_step::fork);
      CHECK_FALSE(has_children());
    }
  }

  TEST_CASE("spawn: what a hook does is seen, and what it returns is told [K82]") {
    const leak_check leaks;
    const command fruit = shell("echo \"$FRUIT\"").pre_exec({set_variable});
    CHECK(check_output(fruit) == "apple\n");
    CHECK(check_output(command(fruit).env({{"FRUIT", "given"}})) == "given\n");
    const spawn_error failed =
        spawn_error_of([] { run(command("true").pre_exec({fail_with_enotty})); });
    CHECK(failed.code() == std::errc::inappropriate_io_control_operation);
    CHECK(failed.step() == spawn_step::pre_exec);
    CHECK(failed.path() == "");
    CHECK(run(command("true").pre_exec({exit_with_3})).status == exit_status::from_code(3));
  }

  TEST_CASE("spawn: memory is shared but with those who change who the child is [K109]") {
    const std::string part = own_part();
    const command plain = nothing();
    if (part == "plain") {
      CHECK(run(command(plain).cwd("/").new_session().env({})).status.success());
    } else if (part == "hook") {
      CHECK(run(command(plain).pre_exec({pause_a_moment})).status.success());
    } else if (part == "user") {
      CHECK(run(command(plain).user(::getuid()).group(::getgid())).status.success());
    } else if (part == "group") {
      CHECK(run(command(plain).group(::getgid())).status.success());
    } else if (part == "groups") {
      CHECK(run(command(plain).extra_groups({})).status.success());
    }
    if (!part.empty()) {
      return;
    }
    const leak_check leaks;
    if (sanitized || ::geteuid() != 0 || forks_of("plain").empty()) {
      MESSAGE("left out: needs root and strace");
      return;
    }
    for (const std::string each : {"plain", "hook", "user", "group", "groups"}) {
      const std::vector<std::string> calls = forks_of(each);
      CAPTURE(calls);
      // The first vfork of a program is preceded by one that tries what vfork is.
      const bool probed = calls.size() == 2 && calls[0].find("vfork(") != std::string::npos;
      REQUIRE((calls.size() == 1 || probed));
      const bool shares = calls.back().find("CLONE_VM") != std::string::npos ||
                          calls.back().find("vfork(") != std::string::npos;
      CHECK(shares == (each == "plain"));
    }
  }

  TEST_CASE("spawn: a child that aborts has died by SIGABRT, and it is told whether a core is left "
            "[K80]") {
    if (!in_own_process()) {
      return;
    }
    std::string pattern;
    std::getline(std::ifstream("/proc/sys/kernel/core_pattern") >> std::ws, pattern);
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_CORE, &limit) == 0);
    const bool to_folder = pattern.find_first_of("/|") == std::string::npos;
    for (const rlim_t most : {rlim_t(0), limit.rlim_max}) {
      const rlimit now{most, limit.rlim_max};
      REQUIRE(::setrlimit(RLIMIT_CORE, &now) == 0);
      const own_folder folder;
      const exit_status status =
          run(steps({"raise:" + std::to_string(SIGABRT)}).cwd(folder.path())).status;
      CHECK(status.signal() == SIGABRT);
      CHECK(status.returncode() == -6);
      if (to_folder) {
        CHECK(status.core_dumped() == !std::filesystem::is_empty(folder.path()));
        CHECK((most != 0 || !status.core_dumped()));
      }
    }
    if (!to_folder) {
      MESSAGE("left out: where a core goes to is not known: ", pattern);
    }
  }

} // TEST_SUITE
