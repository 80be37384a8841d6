// What cannot be started, in every way known: the error names what was wrong, and nothing is left.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "bad_start.hpp"
#include "children.hpp"
#include "own_process.hpp"

#include <asio/io_context.hpp>
#include <asio/read_until.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

constexpr std::array launchers{launcher_kind::none, launcher_kind::vfork, launcher_kind::fork};
// A folder of the test's own, with files that cannot be executed each in its own way.
class bad_files {
public:
  bad_files() {
    std::string name = std::filesystem::temp_directory_path() / "subproc.XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
    make("not-executable", "#!/bin/sh\n", 0644);
    make("no-format", "true\n", 0755);
    make("no-interpreter", "#!/no/such/interpreter\n", 0755);
    std::filesystem::create_symlink("loop", folder_ / "loop");
  }
  bad_files(const bad_files&) = delete;
  bad_files& operator=(const bad_files&) = delete;
  ~bad_files() { std::filesystem::remove_all(folder_); }

  std::string operator/(const char* name) const { return folder_ / name; }

private:
  void make(const char* name, const char* text, mode_t mode) {
    std::ofstream(folder_ / name) << text;
    REQUIRE(::chmod((folder_ / name).c_str(), mode) == 0);
  }

  std::filesystem::path folder_;
};

// Each as it is and with all streams piped, by each launcher; nothing may be left of any.
void check_bad_starts(const std::vector<bad_start>& table) {
  const std::size_t threads = thread_count();
  for (const launcher_kind kind : launchers) {
    CAPTURE(to_string(kind));
    const auto by = make_launcher(kind);
    for (bad_start bad : table) {
      const bool has_streams = bad.cmd.in() || bad.cmd.out() || bad.cmd.err() || bad.cmd.input();
      check_bad_start({bad.cmd.launcher(by), bad.code, bad.step, bad.path});
      if (!has_streams && !bad.cmd.captures_output()) {
        check_bad_start({bad.cmd.input("x").capture_output(), bad.code, bad.step, bad.path});
      }
    }
  }
  CHECK_FALSE(has_children());
  CHECK(thread_count() <= threads + std::thread::hardware_concurrency()); // launcher threads
}

int fail_with_enotty(void*) { return ENOTTY; }

int closed_descriptor() {
  const int number = ::fcntl(0, F_DUPFD_CLOEXEC, 500);
  ::close(number);
  return number;
}

class descriptor_limit {
public:
  explicit descriptor_limit(rlim_t most) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit now{most, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
  descriptor_limit(const descriptor_limit&) = delete;
  descriptor_limit& operator=(const descriptor_limit&) = delete;
  ~descriptor_limit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
  rlimit before_{};
};

// The limit under which just as many more can be opened.
rlim_t limit_for(const std::vector<int>& open, int more) {
  int limit = 0;
  for (int free = 0; free < more || std::binary_search(open.begin(), open.end(), limit); ++limit) {
    free += std::binary_search(open.begin(), open.end(), limit) ? 0 : 1;
  }
  return static_cast<rlim_t>(limit);
}

// Lets a start have one descriptor more each time until it has enough. How often that failed.
template <class Start>
int failures_until_enough(Start start) {
  // UBSan looks at each type once, and needs descriptors for that.
  start();
  static_cast<void>(spawn_error_of([] { run(command("/no/such")); }));
  const std::vector<int> before = open_descriptors();
  for (int failures = 0; failures < 40; ++failures) {
    CAPTURE(failures);
    std::exception_ptr error;
    {
      const descriptor_limit limit(limit_for(before, failures));
      try {
        start();
      } catch (...) {
        error = std::current_exception();
      }
    }
    CHECK(eventually([] { return !has_children(); }));
    CHECK(open_descriptors() == before);
    if (!error) {
      return failures;
    }
    const spawn_error refused = spawn_error_of([&] { std::rethrow_exception(error); });
    CHECK(refused.code() == std::errc::too_many_files_open);
    CHECK_MESSAGE((refused.step() == spawn_step::pipe || refused.step() == spawn_step::fork),
                  refused.what());
  }
  FAIL("never enough");
  return -1;
}

} // namespace

TEST_SUITE("bad_input") {

  TEST_CASE("bad_input: what cannot be executed is named and leaves nothing "
            "[T4] [T5] [K130] [K141]") {
    const leak_check leaks;
    const bad_files files;
    const std::string folder = files / ".";
    const auto without = [&](const char* name, std::errc code) {
      return bad_start{command(files / name), code, spawn_step::exec, files / name};
    };
    const std::string long_name(300, 'n');
    check_bad_starts({
        without("missing", std::errc::no_such_file_or_directory),
        without("not-executable", std::errc::permission_denied),
        without("no-format", std::errc::executable_format_error),
        without("no-interpreter", std::errc::no_such_file_or_directory),
        without("no-format/x", std::errc::not_a_directory),
        without("no-format/", std::errc::not_a_directory),
        without("loop", std::errc::too_many_symbolic_link_levels),
        {command(folder), std::errc::permission_denied, spawn_step::exec, folder},
        {command("/" + long_name), std::errc::filename_too_long, spawn_step::exec, "/" + long_name},
        {command("no-such-program").env({{"PATH", "/bin:/usr/bin"}}),
         std::errc::no_such_file_or_directory, spawn_step::exec, "no-such-program"},
        {command("not-executable").env({{"PATH", folder}}), std::errc::permission_denied,
         spawn_step::exec, "not-executable"},
        {command("any name").executable(files / "missing"), std::errc::no_such_file_or_directory,
         spawn_step::exec, files / "missing"},
        {command("/bin/true", std::string(1 << 20, 'x')), std::errc::argument_list_too_long,
         spawn_step::exec, "/bin/true"},
        {command("true").env({{"PATH", "/bin"}, {"LONG", std::string(1 << 20, 'x')}}),
         std::errc::argument_list_too_long, spawn_step::exec, "true"},
    });
  }

  TEST_CASE("bad_input: a command line given as one string is told that it is not split") {
    const std::string words = spawn_error_of([] { run("ls -l"); }).what();
    CHECK_MESSAGE(words.find("never split") != std::string::npos, words);
    CHECK_MESSAGE(words.find("'ls -l'") != std::string::npos, words);
  }

  TEST_CASE("bad_input: each step before exec that fails is named, and leaves nothing [T4] [T5]") {
    const leak_check leaks;
    const bad_files files;
    const test_pipe gate;
    const int no_group = std::numeric_limits<int>::max(); // above any pid there can be
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const int too_high = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 30));
    check_bad_starts({
        {command("true").cwd(files / "missing"), std::errc::no_such_file_or_directory,
         spawn_step::chdir, files / "missing"},
        {command("true").cwd(files / "no-format"), std::errc::not_a_directory, spawn_step::chdir,
         files / "no-format"},
        // Both are wrong: it is the directory that comes first.
        {command("/no/such").cwd(""), std::errc::no_such_file_or_directory, spawn_step::chdir, ""},
        {command("true").process_group(no_group), std::errc::operation_not_permitted,
         spawn_step::setpgid, ""},
        {command("true").map_fds({{too_high, gate.read_end.get()}}), std::errc::bad_file_descriptor,
         spawn_step::dup2, ""},
        {command("true").pre_exec({fail_with_enotty}),
         std::errc::inappropriate_io_control_operation, spawn_step::pre_exec, ""},
    });
  }

  TEST_CASE("bad_input: files that cannot be opened are named by path [T4] [T5]") {
    const leak_check leaks;
    const bad_files files;
    const std::string missing = files / "missing/file";
    const std::string folder = files / ".";
    const std::string there = files / "no-format";
    const auto bad = [](command cmd, std::errc code, const std::string& path) {
      return bad_start{std::move(cmd), code, spawn_step::open, path};
    };
    const command cmd("true");
    const auto missing_code = std::errc::no_such_file_or_directory;
    check_bad_starts({
        bad(command(cmd).in(file(files / "missing")), missing_code, files / "missing"),
        bad(command(cmd).out(file(missing)), missing_code, missing),
        bad(command(cmd).err(file(missing)), missing_code, missing),
        bad(command(cmd).out(file("")), missing_code, ""),
        bad(command(cmd).out(file(folder)), std::errc::is_a_directory, folder),
        bad(command(cmd).err(file(there + "/x")), std::errc::not_a_directory, there + "/x"),
        bad(command(cmd).out(file(there, open_mode::create_new)), std::errc::file_exists, there),
        // What was opened before it is closed again.
        bad(command(cmd).in(file(there)).out(piped).err(file(missing)), missing_code, missing),
    });
  }

  TEST_CASE("bad_input: descriptors that are not open are refused by their option [T4] [T5]") {
    const leak_check leaks;
    const int closed = closed_descriptor();
    const auto bad = [&](const command& cmd, const char* option) {
      check_bad_start({cmd, std::errc::bad_file_descriptor, spawn_step::arguments, option});
      const std::string words = spawn_error_of([&] { run(cmd); }).what();
      CHECK_MESSAGE(words.find(std::to_string(closed)) != std::string::npos, words);
    };
    bad(command("true").in(fd(closed)), "in");
    bad(command("true").out(fd(closed)), "out");
    bad(command("true").err(fd(closed)).in(piped).out(piped), "err");
    bad(command("true").pass_fds({closed}), "pass_fds");
    bad(command("true").map_fds({{7, 0}, {8, closed}}), "pass_fds");
  }

  TEST_CASE("bad_input: wrong options of POSIX are refused by name before anything starts "
            "[T4] [T5] [K99]") {
    const leak_check leaks;
    struct wrong {
      command cmd;
      const char* option;
      const char* words;
    };
    const std::vector<wrong> table{
        {command("true").in(fd(-1)), "in", "negative"},
        {command("true").out(fd(-1)), "out", "negative"},
        {command("true").map_fds({{3, -1}}), "pass_fds", "-1"},
        {command("true").map_fds({{2, 0}}), "pass_fds", "2 is below 3"},
        {command("true").map_fds({{-1, 0}}), "pass_fds", "-1 is below 3"},
        {command("true").map_fds({{9, 0}, {9, 1}}), "pass_fds", "9 is given twice"},
        {command("true").pass_fds({7}).close_fds(false), "pass_fds",
         "pass_fds cannot be given together with close_fds(false)"},
        {command("true").process_group(-1), "process_group", "-1"},
        {command("true").process_group(0).new_session(), "process_group", "new_session"},
        {command("true").umask(01000), "umask", "512"},
        {command("true").umask(-1), "umask", "-1"},
        {command("true").pre_exec({nullptr}), "pre_exec", "null"},
    };
    const std::size_t threads = thread_count();
    for (const wrong& each : table) {
      CAPTURE(each.words);
      check_bad_start({each.cmd, std::errc::invalid_argument, spawn_step::arguments, each.option});
      const std::string what = spawn_error_of([&] { run(each.cmd); }).what();
      CHECK_MESSAGE(what.find(each.words) != std::string::npos, what);
    }
    CHECK(thread_count() <= threads + std::thread::hardware_concurrency()); // launcher threads
  }

  TEST_CASE("bad_input: users and groups that cannot be are refused before anything starts "
            "[T4] [K76]") {
    const leak_check leaks;
    const own_folder folder;
    const command touch("touch", folder / "mark");
    // 2^32-1 means "leave it" to a kernel; what does not fit is no number at all.
    for (const account& who :
         std::vector<account>{-1, 4294967295, 4294967296, std::numeric_limits<long long>::max(),
                              "18446744073709551616", "no-such-name-here", ""}) {
      const auto* number = std::get_if<long long>(&who);
      const std::string words =
          number ? std::to_string(*number) : std::get<std::string>(who).substr(0, 200);
      for (const auto& [cmd, option] : std::vector<std::pair<command, const char*>>{
               {command(touch).user(who), "user"},
               {command(touch).group(who), "group"},
               {command(touch).extra_groups({0, who}), "extra_groups"}}) {
        check_bad_start({cmd, std::errc::invalid_argument, spawn_step::arguments, option});
        const command& each = cmd; // clang 14 captures no structured binding
        const std::string what = spawn_error_of([&] { run(each); }).what();
        CHECK_MESSAGE(what.find(words) != std::string::npos, what);
      }
    }
    CHECK_FALSE(std::filesystem::exists(folder / "mark"));
  }

  TEST_CASE("bad_input: without enough descriptors the error says so, and nothing is left "
            "[T4] [K48]") {
    if (!in_own_process()) {
      return;
    }
    const watchdog guard;
    const leak_check leaks;
    constexpr int enough = 7; // three pipes and a pidfd
    // pidfd_open without a descriptor is no reason to take the watch of SIGCHLD instead.
    struct sigaction before {};
    ::sigaction(SIGCHLD, nullptr, &before);
    for (const launcher_kind kind : launchers) {
      CAPTURE(to_string(kind));
      const command cmd =
          steps({"echo", "warn:end"}).input("text").capture_output().launcher(make_launcher(kind));
      const auto check_result = [](const completed_process& done) {
        CHECK(done.status.success());
        CHECK(done.out == "text");
        CHECK(done.err == "end\n");
      };
      CHECK(failures_until_enough([&] { check_result(run(cmd)); }) >= enough);
      asio::io_context context;
      async_run(context, command("true"), [](std::exception_ptr, const completed_process&) {});
      context.run(); // opens what the loop itself needs
      CHECK(failures_until_enough([&] {
              std::exception_ptr failed;
              context.restart();
              async_run(context, cmd, [&](std::exception_ptr error, const completed_process& done) {
                failed = error;
                if (!failed) {
                  check_result(done);
                }
              });
              context.run();
              if (failed) {
                std::rethrow_exception(failed);
              }
            }) >= enough);
    }
    struct sigaction after {};
    ::sigaction(SIGCHLD, nullptr, &after);
    CHECK((after.sa_handler == before.sa_handler));
  }

  TEST_CASE("bad_input: ten free descriptors are enough for any number of runs [K47]") {
    if (!in_own_process_without_sanitizer()) {
      return;
    }
    const leak_check leaks;
    const command cmd = steps({"echo", "warn:end"}).input("text").capture_output();
    for (const launcher_kind kind : launchers) {
      const descriptor_limit limit(limit_for(open_descriptors(), 10));
      for (int i = 0; i < 15; ++i) {
        const completed_process done = run(command(cmd).launcher(make_launcher(kind)));
        CHECK(done.status.success());
        CHECK(done.out == "text");
        CHECK(done.err == "end\n");
      }
    }
  }

  TEST_CASE("bad_input: a failed start closes nothing that others open meanwhile [K56]") {
    const leak_check leaks;
    const watchdog guard;
    std::atomic<bool> over = false;
    std::atomic<long> rounds = 0;
    std::atomic<long> lost = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        while (!over) {
          const int mine = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
          std::this_thread::yield();
          lost += mine < 0 || ::close(mine) != 0 ? 1 : 0;
          ++rounds;
        }
      });
    }
    for (int i = 0; i < times(200); ++i) {
      for (const launcher_kind kind : launchers) {
        const command cmd = command("/no/such").launcher(make_launcher(kind));
        CHECK_THROWS_AS(run(command(cmd).input("x").capture_output()), spawn_error);
        CHECK_THROWS_AS(run(command(cmd).cwd("/nowhere").capture_output()), spawn_error);
      }
    }
    over = true;
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(rounds > 0);
    CHECK(lost == 0);
  }

  TEST_CASE("bad_input: after a failed start the caller's descriptors are open [K57]") {
    const leak_check leaks;
    for (const launcher_kind kind : launchers) {
      CAPTURE(to_string(kind));
      test_pipe one;
      test_pipe two;
      const std::array<int, 3> mine{one.read_end.release(), one.write_end.release(),
                                    two.write_end.release()};
      const command cmd = command("/no/such")
                              .in(fd(mine[0]))
                              .out(fd(mine[1]))
                              .err(fd(mine[2]))
                              .launcher(make_launcher(kind));
      CHECK_THROWS_AS(run(cmd), spawn_error);
      CHECK_THROWS_AS(run(command(cmd).cwd("/nowhere")), spawn_error);
      for (const int each : mine) {
        CHECK(::fcntl(each, F_GETFD) == FD_CLOEXEC);
        CHECK(::close(each) == 0);
        CHECK(::close(each) == -1);
        CHECK(errno == EBADF);
      }
    }
  }

  TEST_CASE("bad_input: a loop that has no descriptors yet and gets none refuses a start [T4]") {
    if (!in_own_process_without_sanitizer()) {
      return;
    }
    const watchdog guard;
    const leak_check leaks;
    for (const bool async : {false, true}) {
      int calls = 0;
      CHECK(failures_until_enough([&] {
              asio::io_context context;
              std::optional<process> child;
              std::exception_ptr failed;
              if (async) {
                async_spawn(context, command("true"), [&](std::exception_ptr error, process made) {
                  failed = error;
                  child = std::move(made);
                });
                context.run();
              } else {
                child.emplace(context, command("true"));
              }
              if (failed) {
                std::rethrow_exception(failed);
              }
              child->async_wait([&](error_code ec, exit_status status) {
                ++calls;
                CHECK_FALSE(ec);
                CHECK(status.success());
              });
              context.restart();
              context.run();
            }) >= 2);    // of the loop at least one (io_uring; epoll has two), and a pidfd
      CHECK(calls == 2); // without a limit, and with one that is high enough
    }
  }

  TEST_CASE("bad_input: a drain time-out that is negative, zero or no number has passed at once") {
    const leak_check leaks;
    const watchdog guard;
    for (const double number : {-1.0, -std::numeric_limits<double>::infinity(),
                                std::numeric_limits<double>::quiet_NaN(), 0.0}) {
      CAPTURE(number);
      test_pipe gate;
      CHECK(run(command("sh", "-c", "cat <&9 & echo now")
                    .out(piped)
                    .map_fds({{9, gate.read_end.get()}})
                    .drain_timeout(std::chrono::duration<double>(number)))
                .pipes_held);
    }
  }

} // TEST_SUITE
