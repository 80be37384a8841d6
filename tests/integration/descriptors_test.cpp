#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "own_process.hpp"

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

constexpr std::array launchers{launcher_kind::none, launcher_kind::vfork, launcher_kind::fork};

// What is open, by number: "device:inode access-mode" in the form of the helper `descriptors`.
using table = std::map<int, std::string>;

std::string shown(const table& open) {
  std::string text;
  for (const auto& [number, what] : open) {
    text += std::to_string(number) + " is " + what + ", ";
  }
  return text;
}

std::string numbers(const table& open) {
  std::string text;
  for (const auto& [number, what] : open) {
    text += std::to_string(number) + ' ';
  }
  return text;
}

std::string identity(int descriptor) {
  struct stat about {};
  if (::fstat(descriptor, &about) != 0) {
    return "closed";
  }
  const int mode = ::fcntl(descriptor, F_GETFL) & O_ACCMODE;
  return std::to_string(about.st_dev) + ':' + std::to_string(about.st_ino) + ' ' +
         std::to_string(mode);
}

unique_handle duplicate(int descriptor, int lowest, int how = F_DUPFD_CLOEXEC) {
  unique_handle copy(::fcntl(descriptor, how, lowest));
  REQUIRE(copy);
  return copy;
}

unique_handle null_device() {
  unique_handle opened(::open("/dev/null", O_RDWR | O_CLOEXEC));
  REQUIRE(opened);
  return opened;
}

std::string read_all(int descriptor) {
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t n = 0; (n = ::read(descriptor, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return text;
}

table parse(const std::string& report) {
  table open;
  std::istringstream lines(report);
  int number = 0;
  std::string inode;
  std::string mode;
  for (int non_blocking = 0; lines >> number >> inode >> mode >> non_blocking;) {
    open[number] = inode + ' ' + mode + (non_blocking != 0 ? " non-blocking" : "");
  }
  return open;
}

command lister() { return command(helper("descriptors")); }

// What a child has open. It reports through a descriptor of its own, above what a caller with
// closed streams would get and below what counts as high, which is left out of the answer.
table open_in_child(command cmd, std::vector<fd_mapping> fds = {}) {
  test_pipe report;
  report.read_end = duplicate(report.read_end.get(), 20);
  report.write_end = duplicate(report.write_end.get(), 20);
  const int to = report.write_end.get();
  if (cmd.close_fds()) {
    fds.push_back({to, to});
    cmd.map_fds(std::move(fds));
  } else {
    ::fcntl(to, F_SETFD, 0);
  }
  const exit_status status = run(std::move(cmd).arg(std::to_string(to))).status;
  report.write_end.reset();
  table open = parse(read_all(report.read_end.get())); // its end: nobody kept the other one
  return status.success() && open.erase(to) == 1 ? open : table{};
}

// The code of the spawn_error of a command; none when it was started.
error_code code_of(const command& cmd) {
  try {
    run(cmd);
  } catch (const spawn_error& error) {
    return error.code();
  }
  return {};
}

// Closes some of 0, 1 and 2 (a bit for each) for as long as it lives.
class closed_streams {
public:
  explicit closed_streams(unsigned which) {
    for (int number = 0; number < 3; ++number) {
      if ((which >> number & 1) != 0) {
        saved_[static_cast<std::size_t>(number)].reset(::fcntl(number, F_DUPFD_CLOEXEC, 20));
        ::close(number);
      }
    }
  }
  closed_streams(const closed_streams&) = delete;
  closed_streams& operator=(const closed_streams&) = delete;
  ~closed_streams() {
    for (int number = 0; number < 3; ++number) {
      if (const auto& saved = saved_[static_cast<std::size_t>(number)]) {
        ::dup2(saved.get(), number);
      }
    }
  }

private:
  std::array<unique_handle, 3> saved_;
};

// Five different descriptors, on 0, 1, 2 and two more, all close-on-exec, go to these five places
// in every way: all permutations by each launcher, and some of those that use a source more than
// once. The answer names what came out wrong.
std::vector<std::string> wrong_places() {
  const closed_streams saved(7);
  std::array<unique_handle, 5> handles;
  std::array<int, 5> at{};
  std::vector<test_pipe> pipes(5);
  for (std::size_t i = 0; i < at.size(); ++i) {
    handles[i] = duplicate(pipes[i].read_end.get(), 20);
  }
  pipes.clear(); // they lay on 0, 1 and 2
  table ours;
  for (std::size_t i = 0; i < at.size(); ++i) {
    if (i < 3) {
      at[i] = static_cast<int>(i);
      REQUIRE(::dup3(handles[i].get(), at[i], O_CLOEXEC) == at[i]);
      handles[i].reset(at[i]);
    } else {
      at[i] = handles[i].get();
    }
    ours[at[i]] = identity(at[i]);
  }

  std::vector<std::string> wrong;
  for (const launcher_kind kind : launchers) {
    const auto by = make_launcher(kind);
    for (int code = 0; code < 3125; ++code) { // five digits, in base 5: where each comes from
      std::array<std::size_t, 5> from{};
      int rest = code;
      for (std::size_t& digit : from) {
        digit = static_cast<std::size_t>(rest % 5);
        rest /= 5;
      }
      auto sorted = from;
      std::sort(sorted.begin(), sorted.end());
      const bool permutation = std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end();
      if ((!permutation || (sanitized && code % 4 != 0)) && code % 71 != 0) {
        continue;
      }
      table expected;
      for (std::size_t i = 0; i < at.size(); ++i) {
        expected[at[i]] = ours[at[from[i]]];
      }
      const table got = open_in_child(
          lister().launcher(by).in(fd(at[from[0]])).out(fd(at[from[1]])).err(fd(at[from[2]])),
          {{at[3], at[from[3]]}, {at[4], at[from[4]]}});
      if (got != expected) {
        wrong.push_back(std::to_string(code) + " by " + to_string(kind) + ": " + shown(got));
      }
    }
  }
  for (const int number : at) {
    if (identity(number) != ours[number] || ::fcntl(number, F_GETFD) != FD_CLOEXEC) {
      wrong.push_back("the caller's own " + std::to_string(number));
    }
  }
  return wrong;
}

// What a child has of 0, 1 and 2 while some of them are closed in the caller, when it inherits
// them, and when they are redirected.
std::vector<std::string> wrong_when_closed(unsigned which, launcher_kind kind) {
  const auto by = make_launcher(kind);
  const unique_handle null_handle = duplicate(null_device().get(), 20);
  const std::string nothing = identity(null_handle.get());
  table inherited;
  for (int number = 0; number < 3; ++number) {
    if ((which >> number & 1) == 0) {
      inherited[number] = identity(number);
    }
  }
  std::vector<std::string> wrong;
  const auto expect = [&](const char* what, bool good, const std::string& got) {
    if (!good) {
      wrong.push_back(std::string(what) + " by " + to_string(kind) + ", closed " +
                      std::to_string(which) + ": " + got);
    }
  };
  const std::errc missing = std::errc::no_such_file_or_directory;
  const closed_streams closed(which);

  table got = open_in_child(lister().launcher(by));
  expect("inherited", got == inherited, shown(got));

  got = open_in_child(lister().launcher(by).in(null).out(null).err(null));
  expect("null", got == table{{0, nothing}, {1, nothing}, {2, nothing}}, shown(got));

  got = open_in_child(lister().launcher(by).out(fd(null_handle.get())).err(merge));
  table merged = inherited;
  merged[1] = merged[2] = nothing;
  expect("merged", got == merged, shown(got));

  const completed_process piped_ones =
      run(steps({"echo", "warn:e"}).launcher(by).input("in").capture_output());
  expect("piped", piped_ones.out == "in" && piped_ones.err == "e\n", piped_ones.out);
  expect("missing", code_of(command("/no/such").launcher(by)) == missing, "");
  expect("missing, piped",
         code_of(command("/no/such").launcher(by).input("").capture_output()) == missing, "");
  got = open_in_child(lister().launcher(by).input("").capture_output());
  expect("pipes", numbers(got) == "0 1 2 " && got[1] != got[2], shown(got));
  return wrong;
}

// Two of the three streams go where two that are open in the caller are, in every order, while the
// third is closed there.
std::vector<std::string> wrong_with_one_closed(launcher_kind kind) {
  const auto by = make_launcher(kind);
  const closed_streams saved(7);
  std::array<unique_handle, 3> high;
  {
    std::vector<test_pipe> pipes(3);
    for (std::size_t i = 0; i < high.size(); ++i) {
      high[i] = duplicate(pipes[i].read_end.get(), 20);
    }
  }
  const auto open_stream = [&high](int number) {
    return ::dup2(high[static_cast<std::size_t>(number)].get(), number) == number;
  };
  for (int number = 0; number < 3; ++number) {
    REQUIRE(open_stream(number));
  }
  std::vector<std::string> wrong;
  for (int closed = 0; closed < 3; ++closed) {
    const std::array<int, 2> from{closed == 0 ? 1 : 0, closed == 2 ? 1 : 2};
    ::close(closed);
    for (int one = 0; one < 3; ++one) {
      for (int two = 0; two < 3; ++two) {
        if (one == two) {
          continue;
        }
        const int third = 3 - one - two;
        table expected{{one, identity(from[0])}, {two, identity(from[1])}};
        if (third != closed) {
          expected[third] = identity(third);
        }
        command cmd = lister().launcher(by);
        for (const auto& [to, source] : {std::pair(one, from[0]), std::pair(two, from[1])}) {
          to == 0 ? cmd.in(fd(source)) : to == 1 ? cmd.out(fd(source)) : cmd.err(fd(source));
        }
        const table got = open_in_child(std::move(cmd));
        if (got != expected) {
          wrong.push_back(std::to_string(closed) + " closed, " + std::to_string(one) + " and " +
                          std::to_string(two) + " given: " + shown(got));
        }
      }
    }
    REQUIRE(open_stream(closed));
  }
  return wrong;
}

int open_more(void*) {
  return ::dup(0) > 2 && ::fcntl(0, F_DUPFD, 100) >= 100 && ::open("/dev/null", O_RDONLY) > 2 ? 0
                                                                                              : EIO;
}

// An error for one system call from here on, in this thread and its children, as an old kernel or a
// container's filter gives it.
bool refuse_call(unsigned number) {
  std::array<sock_filter, 4> program{
      sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number},
      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS},
      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

rlim_t limit_descriptors(rlim_t count) {
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  if (count > limit.rlim_max) {
    const rlimit more{count, count}; // root may
    if (::setrlimit(RLIMIT_NOFILE, &more) == 0) {
      return count;
    }
  }
  limit.rlim_cur = std::min(count, limit.rlim_max);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  return limit.rlim_cur;
}

table own_streams() { return {{0, identity(0)}, {1, identity(1)}, {2, identity(2)}}; }

// A child by each launcher has the caller's 0, 1 and 2, one that was passed, and no other.
void check_only_passed() {
  const test_pipe passed;
  table expected = own_streams();
  expected[7] = identity(passed.read_end.get());
  for (const launcher_kind kind : launchers) {
    CAPTURE(std::string(to_string(kind)));
    CHECK(shown(open_in_child(lister().launcher(make_launcher(kind)),
                              {{7, passed.read_end.get()}})) == shown(expected));
  }
}

// The epoll descriptors that are open: the loop's, and those of the library's threads.
std::vector<int> epolls() {
  std::vector<int> found;
  for (const int number : open_descriptors()) {
    std::error_code ec;
    const auto target =
        std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(number), ec);
    if (target == "anon_inode:[eventpoll]") {
      found.push_back(number);
    }
  }
  return found;
}

// The one that is new; -1 where a loop has none.
int new_epoll(const std::vector<int>& before) {
  for (const int number : epolls()) {
    if (std::find(before.begin(), before.end(), number) == before.end()) {
      return number;
    }
  }
  return -1;
}

// What an epoll descriptor watches: numbers and the inodes behind them.
std::vector<std::pair<int, unsigned long>> watched_by(int epoll) {
  std::vector<std::pair<int, unsigned long>> watched;
  std::ifstream about("/proc/self/fdinfo/" + std::to_string(epoll));
  for (std::string line; std::getline(about, line);) {
    const std::size_t inode = line.find("ino:");
    if (line.starts_with("tfd:") && inode != std::string::npos) {
      watched.emplace_back(std::stoi(line.substr(4)),
                           std::stoul(line.substr(inode + 4), nullptr, 16));
    }
  }
  std::sort(watched.begin(), watched.end());
  return watched;
}

// Whether everything watched is still open here: what is not lives on in some child alone.
bool all_watched_are_open(int epoll) {
  const auto watched = watched_by(epoll);
  return std::all_of(watched.begin(), watched.end(), [](const auto& entry) {
    struct stat about {};
    return ::fstat(entry.first, &about) == 0 && about.st_ino == entry.second;
  });
}

// Spawns that stand between fork and exec, with copies of all that is open here, until it goes.
class held_spawn {
public:
  held_spawn() : thread_([this] { run(command("true").pre_exec({&held_spawn::hold, this})); }) {
    char byte = 0;
    CHECK(::read(ready_.read_end.get(), &byte, 1) == 1);
  }
  held_spawn(const held_spawn&) = delete;
  held_spawn& operator=(const held_spawn&) = delete;
  ~held_spawn() {
    CHECK(::write(gate_.write_end.get(), "x", 1) == 1);
    thread_.join();
  }

private:
  static int hold(void* self) {
    const auto& it = *static_cast<held_spawn*>(self);
    char byte = 'x';
    const bool good = ::write(it.ready_.write_end.get(), &byte, 1) == 1 &&
                      ::read(it.gate_.read_end.get(), &byte, 1) == 1;
    return good ? 0 : EIO;
  }

  test_pipe ready_;
  test_pipe gate_;
  std::thread thread_;
};

// Children one after the other on a loop, each dropped in the handler that saw its end.
struct lane {
  asio::io_context& context;
  int left;
  std::function<void()> look;
  std::optional<process> child{};
  int pending = 0;
  std::array<char, 1> byte{};

  void next() {
    if (left-- == 0) {
      return;
    }
    child.emplace(context, command(helper("nothing")).out(piped));
    pending = 2;
    child->async_wait([this](error_code, exit_status) { over(); });
    child->out().async_read_some(asio::buffer(byte), [this](error_code, std::size_t) { over(); });
  }

  void over() {
    if (--pending == 0) {
      child.reset();
      look();
      next();
    }
  }
};

} // namespace

TEST_SUITE("descriptors") {

  TEST_CASE("descriptors: five go where they are told, swapped, shared or in place [T12] [K92]") {
    const leak_check leaks;
    if (in_own_process()) {
      CHECK(wrong_places() == std::vector<std::string>());
    }
  }

  TEST_CASE("descriptors: streams that are closed in the caller are nothing else's "
            "[T12] [K90] [K91]") {
    const leak_check leaks;
    if (!in_own_process()) {
      return;
    }
    for (unsigned which = 1; which < 8; ++which) {
      for (const launcher_kind kind : launchers) {
        CHECK(wrong_when_closed(which, kind) == std::vector<std::string>());
      }
    }
  }

  TEST_CASE("descriptors: two streams of three are given while the third is closed [K93]") {
    const leak_check leaks;
    if (!in_own_process()) {
      return;
    }
    for (const launcher_kind kind : launchers) {
      CAPTURE(std::string(to_string(kind)));
      CHECK(wrong_with_one_closed(kind) == std::vector<std::string>());
    }
  }

  TEST_CASE("descriptors: a closed one is refused, though our own pipe takes its number [T12]") {
    const leak_check leaks;
    // The lowest free numbers: those of the next pipe.
    const auto [closed, next] = [] {
      const unique_handle first = null_device();
      const unique_handle second = null_device();
      return std::pair(first.get(), second.get());
    }();
    const std::errc refused = std::errc::bad_file_descriptor;
    CHECK(code_of(command("true").in(fd(closed))) == refused);
    CHECK(code_of(command("true").in(piped).out(fd(closed))) == refused);
    CHECK(code_of(command("true").in(piped).err(fd(next))) == refused);
    CHECK(code_of(command("true").out(piped).err(fd(closed))) == refused);
    CHECK(code_of(command("true").in(piped).pass_fds({closed})) == refused);
    CHECK(code_of(command("true").in(file("/dev/null")).out(fd(closed))) == refused);
    const spawn_error error =
        spawn_error_of([&, number = closed] { run(command("true").pass_fds({number})); });
    CHECK(error.step() == spawn_step::arguments);
  }

  TEST_CASE("descriptors: a closed stdout cannot be merged, though our own take its number [T12]") {
    const leak_check leaks;
    if (!in_own_process()) {
      return;
    }
    for (const launcher_kind kind : launchers) {
      for (const bool with_pipe : {false, true}) {
        CAPTURE(std::string(to_string(kind)));
        CAPTURE(with_pipe);
        command cmd = command("true").launcher(make_launcher(kind)).err(merge);
        if (with_pipe) {
          cmd.in(piped);
        }
        error_code got;
        {
          const closed_streams closed(2);
          got = code_of(cmd);
        }
        CHECK(got == std::errc::bad_file_descriptor);
      }
    }
  }

  TEST_CASE("descriptors: children of eight threads have what was passed and no more [T13]") {
    const leak_check leaks;
    const watchdog guard;
    // One that an application forgot to mark close-on-exec.
    const unique_handle forgotten = duplicate(null_device().get(), 3, F_DUPFD);
    std::array<std::string, 8> wrong;
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < wrong.size(); ++t) {
      threads.emplace_back([&wrong, t] {
        const auto by = make_launcher(launchers[t % launchers.size()]);
        for (int i = 0; i < times(25) && wrong[t].empty(); ++i) {
          const test_pipe passed;
          const int number = passed.write_end.get();
          table expected = own_streams();
          expected[number] = identity(number);
          const table got = open_in_child(lister().launcher(by), {{number, number}});
          if (got != expected) {
            wrong[t] = shown(got);
          }
          const table pipes = open_in_child(lister().launcher(by).in(piped).out(piped).err(piped));
          if (numbers(pipes) != "0 1 2 ") {
            wrong[t] = shown(pipes);
          }
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    for (const std::string& each : wrong) {
      CHECK(each == "");
    }
  }

  TEST_CASE("descriptors: closing a stdin is seen while children made since live [T13]") {
    const leak_check leaks;
    const watchdog guard;
    std::atomic<int> good = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&good, t] {
        asio::io_context context;
        const auto by = make_launcher(launchers[static_cast<std::size_t>(t) % launchers.size()]);
        for (int i = 0; i < times(20); ++i) {
          process first(context, steps({"read:1"}).in(piped).launcher(by));
          process second(context, steps({"read:1"}).in(piped).launcher(by));
          first.in().close();
          const bool ended = first.wait().success() && !second.poll();
          second.in().close();
          good += ended && second.wait().success() ? 1 : 0;
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(good == 8 * times(20));
  }

  TEST_CASE("descriptors: all others are closed above a limit that was lowered since [T14] [K97]") {
    const leak_check leaks;
    if (!in_own_process()) {
      return;
    }
    const unique_handle above = duplicate(null_device().get(), 200, F_DUPFD);
    limit_descriptors(64);
    check_only_passed();
  }

  TEST_CASE("descriptors: all others are closed up to the highest limit there is [T14]") {
    const leak_check leaks;
    if (!in_own_process()) {
      return;
    }
    rlim_t highest = 0;
    std::ifstream("/proc/sys/fs/nr_open") >> highest;
    const rlim_t limit = limit_descriptors(highest);
    const int last = static_cast<int>(std::min<rlim_t>(limit, 1 << 20)) - 1;
    const unique_handle above = duplicate(null_device().get(), last, F_DUPFD);
    check_only_passed();
  }

  TEST_CASE("descriptors: all others are closed without close_range [T14]") {
    const leak_check leaks;
    if (!in_own_process()) {
      return;
    }
    // More than one look at the folder of open ones can hold.
    std::vector<unique_handle> forgotten;
    for (int i = 0; i < 100; ++i) {
      forgotten.push_back(duplicate(null_device().get(), 100, F_DUPFD));
    }
    if (!refuse_call(SYS_close_range)) {
      MESSAGE("left out: no seccomp here");
      return;
    }
    check_only_passed();
  }

  TEST_CASE("descriptors: all others are closed without /proc [T14]") {
    if (::geteuid() != 0) {
      MESSAGE("left out: needs root");
      return;
    }
    if (!in_own_process()) {
      return; // and no leak_check there: it looks into /proc
    }
    const unique_handle forgotten = duplicate(null_device().get(), 200, F_DUPFD);
    const unique_handle high = duplicate(null_device().get(), 900, F_DUPFD);
    const test_pipe passed;
    // Undone by the end of this process, whose alone the mounts are.
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", "/proc", "tmpfs", 0, nullptr) != 0) {
      MESSAGE("left out: mounts are not allowed here");
      return;
    }
    for (const bool with_close_range : {true, false}) {
      if (!with_close_range && !refuse_call(SYS_close_range)) {
        MESSAGE("left out: no seccomp here");
        break;
      }
      for (const launcher_kind kind : launchers) {
        CAPTURE(with_close_range);
        CAPTURE(std::string(to_string(kind)));
        const auto by = make_launcher(kind);
        // A close that succeeds tells that it was open.
        const auto has = [&](int number) {
          return run(steps({"close:" + std::to_string(number)})
                         .map_fds({{500, passed.read_end.get()}})
                         .err(null)
                         .launcher(by))
              .status.success();
        };
        CHECK(has(1));
        CHECK(has(500));
        CHECK_FALSE(has(200));
        CHECK_FALSE(has(900));
        CHECK_FALSE(has(passed.read_end.get()));
        CHECK_FALSE(has(passed.write_end.get()));
      }
    }
    ::umount("/proc"); // a leak sanitizer looks there at the end
  }

  TEST_CASE("descriptors: the loop forgets what it closes though a child holds copies [T56]") {
    const leak_check leaks;
    const std::vector<int> others = epolls();
    asio::io_context context;
    process warm(context, steps({"exit:0"}));
    warm.async_wait([](error_code, exit_status) {});
    context.run();
    const int epoll = new_epoll(others);
    if (epoll < 0) {
      MESSAGE("left out: this loop has no epoll");
      return;
    }
    const auto before = watched_by(epoll);

    std::optional<process> child(std::in_place, context,
                                 steps({"read:1"}).in(piped).out(piped).err(piped));
    std::array<char, 8> buffer;
    int calls = 0;
    child->async_wait([&](error_code, exit_status) { ++calls; });
    child->out().async_read_some(asio::buffer(buffer), [&](error_code, std::size_t) { ++calls; });
    context.poll();
    CHECK(watched_by(epoll).size() == before.size() + 2);
    const held_spawn held;
    SUBCASE("dropped once all is over") {
      child->terminate();
      context.restart();
      context.run();
      CHECK(calls == 2);
      child.reset();
    }
    SUBCASE("dropped while all is pending") { child.reset(); }
    SUBCASE("streams closed, then the process dropped") {
      child->in().close();
      child->out().close();
      child->err().close();
      CHECK(watched_by(epoll).size() == before.size() + 1);
      child.reset();
    }
    CHECK(watched_by(epoll) == before);
    context.restart();
    context.run();
    const auto work = asio::make_work_guard(context);
    context.restart();
    CHECK(context.poll() == 0);
  }

  TEST_CASE("descriptors: no closed one wakes a loop during a storm of spawns [T56]") {
    const leak_check leaks;
    const watchdog guard;
    const std::vector<int> others = epolls();
    asio::io_context context;
    const int epoll = new_epoll(others);
    std::atomic<bool> over = false;
    std::vector<std::thread> spawners;
    for (int t = 0; t < 2; ++t) {
      spawners.emplace_back([&over, t] {
        const auto by = make_launcher(t == 0 ? launcher_kind::vfork : launcher_kind::none);
        while (!over) {
          run(command(helper("nothing")).launcher(by));
        }
      });
    }
    int stray = 0;
    const auto look = [&] { stray += epoll >= 0 && !all_watched_are_open(epoll) ? 1 : 0; };
    std::array<lane, 4> lanes{lane{context, times(60), look}, lane{context, times(60), look},
                              lane{context, times(60), look}, lane{context, times(60), look}};
    for (lane& each : lanes) {
      each.next();
    }
    context.run();
    CHECK(stray == 0);
    const auto work = asio::make_work_guard(context);
    context.restart();
    CHECK(context.poll() == 0);
    over = true;
    for (std::thread& spawner : spawners) {
      spawner.join();
    }
  }

  TEST_CASE("descriptors: no spawn is seen in the caller's table by other threads [T58]") {
    const leak_check leaks;
    const watchdog guard;
    const test_pipe first;
    const test_pipe second;
    const int a = first.read_end.get();
    const int b = second.write_end.get();
    const table before = {{0, identity(0)}, {1, identity(1)}, {2, identity(2)}, {a, identity(a)},
                          {b, identity(b)}, {300, "closed"},  {301, "closed"}};
    std::atomic<bool> over = false;
    std::atomic<long> rounds = 0;
    std::atomic<long> wrong = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        while (!over) {
          int ends[2] = {-1, -1};
          bool good = ::pipe2(ends, O_CLOEXEC) == 0;
          const std::string read_end = identity(ends[0]);
          const std::string write_end = identity(ends[1]);
          const int copy = ::fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
          char byte = 0;
          good = good && ::write(ends[1], "x", 1) == 1 && ::read(copy, &byte, 1) == 1;
          for (const auto& [number, what] : before) {
            good = good && identity(number) == what;
          }
          good = good && identity(copy) == read_end && identity(ends[0]) == read_end &&
                 identity(ends[1]) == write_end && ::fcntl(copy, F_GETFD) == FD_CLOEXEC;
          good = ::close(copy) == 0 && ::close(ends[0]) == 0 && ::close(ends[1]) == 0 && good;
          wrong += good ? 0 : 1;
          ++rounds;
        }
      });
    }
    const command child(helper("nothing"));
    for (int i = 0; i < times(80); ++i) {
      run(command(child).in(fd(a)).out(null).err(fd(b)).map_fds(
          {{300, a}, {301, b}, {a, b}, {b, a}}));
      run(command(child).in(null).out(fd(2)).err(fd(1)));
    }
    over = true;
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(rounds > 0);
    CHECK(wrong == 0);
  }

  TEST_CASE("descriptors: those with high numbers arrive as any other") {
    const leak_check leaks;
    if (!in_own_process()) {
      return;
    }
    if (limit_descriptors(1500) < 1500) {
      MESSAGE("left out: the limit of descriptors is too low");
      return;
    }
    for (const int lowest : {62, 64, 700, 1010, 1100}) {
      CAPTURE(lowest);
      std::array<test_pipe, 10> pipes;
      std::vector<unique_handle> high;
      for (const test_pipe& pipe : pipes) {
        high.push_back(duplicate(pipe.read_end.get(), lowest));
      }
      // Few of them are lowered for the spawn; more than eight are not.
      for (const std::size_t count : {0UL, 1UL, 5UL, 7UL}) {
        CAPTURE(count);
        table expected = {{0, identity(high[0].get())},
                          {1, identity(high[1].get())},
                          {2, identity(high[2].get())}};
        std::vector<fd_mapping> fds;
        for (std::size_t i = 3; i < 3 + count; ++i) {
          // Some keep their numbers; others get low ones, or those of their neighbours.
          const int to = i % 3 == 0   ? high[i].get()
                         : i % 3 == 1 ? static_cast<int>(i)
                                      : high[i - 1].get();
          fds.push_back({to, high[i].get()});
          expected[to] = identity(high[i].get());
        }
        for (const launcher_kind kind : launchers) {
          CAPTURE(std::string(to_string(kind)));
          CHECK(shown(open_in_child(lister()
                                        .launcher(make_launcher(kind))
                                        .in(fd(high[0].get()))
                                        .out(fd(high[1].get()))
                                        .err(fd(high[2].get())),
                                    fds)) == shown(expected));
        }
      }
    }
  }

  TEST_CASE("descriptors: high ones arrive when no low number is free") {
    if (!in_own_process()) {
      return;
    }
    if (limit_descriptors(1500) < 1500) {
      MESSAGE("left out: the limit of descriptors is too low");
      return;
    }
    // Before the library has reserved any.
    const unique_handle nothing = null_device();
    std::vector<unique_handle> taken;
    while (taken.empty() || taken.back().get() < 1100) {
      taken.push_back(duplicate(nothing.get(), 0));
    }
    const test_pipe data;
    const table open = open_in_child(lister().in(fd(data.read_end.get())));
    CHECK(numbers(open) == "0 1 2 ");
    CHECK(open.at(0) == identity(data.read_end.get()));
    CHECK(run(steps({"echo"}).input("text").out(piped)).out == "text");
  }

  TEST_CASE("descriptors: those that trade places may go up to the limit of open files [T12]") {
    if (!in_own_process()) {
      return;
    }
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 256;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    test_pipe one;
    test_pipe two;
    const int a = one.write_end.get();
    const int b = two.write_end.get();
    for (const launcher_kind kind : {launcher_kind::none, launcher_kind::fork}) {
      const std::string script =
          "echo b >&" + std::to_string(a) + "; echo a >&" + std::to_string(b) + "; : >&255";
      CHECK(run(command("bash", "-c", script)
                    .map_fds({{a, b}, {b, a}, {255, a}})
                    .launcher(make_launcher(kind)))
                .status.success());
      char got[2];
      CHECK(::read(one.read_end.get(), got, 2) == 2);
      CHECK(got[0] == 'a');
      CHECK(::read(two.read_end.get(), got, 2) == 2);
      CHECK(got[0] == 'b');
    }
  }

  TEST_CASE("descriptors: what was lowered for a child is not kept open") {
    const leak_check leaks;
    const watchdog guard;
    // Twelve threads want more low numbers at once than there are.
    std::atomic<int> good = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 12; ++t) {
      threads.emplace_back([&good] {
        for (int i = 0; i < times(10); ++i) {
          test_pipe in;
          test_pipe out;
          const unique_handle source = duplicate(in.read_end.get(), 100);
          unique_handle sink = duplicate(out.write_end.get(), 100);
          out.write_end.reset();
          bool right = ::write(in.write_end.get(), "text", 4) == 4;
          in.write_end.reset();
          run(steps({"echo", "warn:e"}).in(fd(source.get())).out(fd(sink.get())).err(merge));
          sink.reset();
          right = right && readable(out.read_end.get());
          good += right && read_all(out.read_end.get()) == "texte\n" ? 1 : 0;
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(good == 12 * times(10));
  }

  TEST_CASE("descriptors: pass_fds keeps numbers, counts each once, leaves 0 to 2 alone") {
    const leak_check leaks;
    const test_pipe pipe;
    const int read_end = pipe.read_end.get();
    const int write_end = pipe.write_end.get();
    command cmd = lister().pass_fds({write_end, 1, read_end, 0, read_end, 2, write_end}).in(null);
    table expected = {{0, identity(null_device().get())},
                      {1, identity(1)},
                      {2, identity(2)},
                      {read_end, identity(read_end)},
                      {write_end, identity(write_end)}};
    CHECK(open_in_child(cmd, cmd.pass_fds()) == expected);
    CHECK(::fcntl(read_end, F_GETFD) == FD_CLOEXEC);
    CHECK(::fcntl(write_end, F_GETFD) == FD_CLOEXEC);
  }

  TEST_CASE("descriptors: close_fds(false) leaves the marked ones out, and ours [T13] [K94]") {
    const leak_check leaks;
    const test_pipe marked;
    const unique_handle low = duplicate(null_device().get(), 3, F_DUPFD);
    const unique_handle high = duplicate(null_device().get(), 100, F_DUPFD);
    asio::io_context context;
    const process other(context, steps({"read:1"}).in(piped).out(piped).err(piped));
    for (const launcher_kind kind : launchers) {
      CAPTURE(std::string(to_string(kind)));
      const table open = open_in_child(
          lister().close_fds(false).launcher(make_launcher(kind)).in(piped).out(piped).err(merge));
      // What this process itself has inherited without the mark is passed on, as asked.
      table expected = {{0, ""}, {1, ""}, {2, ""}};
      for (const int number : open_descriptors()) {
        if (number > 2 && ::fcntl(number, F_GETFD) == 0) {
          expected[number];
        }
      }
      CHECK(numbers(open) == numbers(expected));
      CHECK(open.contains(low.get()));
      CHECK(open.contains(high.get()));
      CHECK_FALSE(open.contains(marked.read_end.get()));
    }
  }

  TEST_CASE("descriptors: all others are closed, or with close_fds(false) none that may stay "
            "[K96]") {
    const leak_check leaks;
    std::vector<unique_handle> inheritable;
    for (int i = 0; i < 11; ++i) {
      inheritable.push_back(duplicate(null_device().get(), i < 8 ? 3 : 100, F_DUPFD));
    }
    for (const launcher_kind kind : launchers) {
      CAPTURE(std::string(to_string(kind)));
      const command cmd = lister().launcher(make_launcher(kind));
      CHECK(numbers(open_in_child(cmd)) == "0 1 2 ");
      const table all = open_in_child(command(cmd).close_fds(false));
      for (const unique_handle& each : inheritable) {
        CHECK(all.contains(each.get()));
      }
    }
  }

  TEST_CASE("descriptors: of ten that could be passed the child has the one that is [K98]") {
    const leak_check leaks;
    std::vector<unique_handle> others;
    for (int i = 0; i < 9; ++i) {
      others.push_back(duplicate(null_device().get(), 3, F_DUPFD));
    }
    const test_pipe passed;
    const int number = passed.read_end.get();
    table expected = own_streams();
    expected[number] = identity(number);
    for (const launcher_kind kind : launchers) {
      CAPTURE(std::string(to_string(kind)));
      command cmd = lister().launcher(make_launcher(kind)).pass_fds({number});
      CHECK(shown(open_in_child(cmd, cmd.pass_fds())) == shown(expected));
      CHECK(::fcntl(number, F_GETFD) == FD_CLOEXEC);
    }
  }

  TEST_CASE("descriptors: what is given as a stream may be passed as well [K100]") {
    const leak_check leaks;
    const test_pipe one;
    const test_pipe two;
    const int a = one.read_end.get();
    const int b = one.write_end.get();
    const int c = two.write_end.get();
    const table expected{{0, identity(a)}, {1, identity(b)}, {2, identity(c)},
                         {a, identity(a)}, {b, identity(b)}, {c, identity(c)}};
    for (const launcher_kind kind : launchers) {
      CAPTURE(std::string(to_string(kind)));
      command cmd = lister().launcher(make_launcher(kind)).pass_fds({a, b, c});
      cmd.in(fd(a)).out(fd(b)).err(fd(c));
      CHECK(shown(open_in_child(cmd, cmd.pass_fds())) == shown(expected));
    }
  }

  TEST_CASE("descriptors: one that can be read and written serves two streams [K101]") {
    const leak_check leaks;
    const own_folder folder;
    const auto after = [&folder](const command& cmd, const auto& give) {
      const unique_handle both(::open(folder.write("both", "apple").c_str(), O_RDWR | O_CLOEXEC));
      REQUIRE(both);
      CHECK(run(give(cmd, fd(both.get()))).status.success());
      return folder.read("both");
    };
    const command reader = steps({"read:5", "say:1", "warn:2"});
    for (const launcher_kind kind : launchers) {
      CAPTURE(std::string(to_string(kind)));
      const command cmd = command(reader).launcher(make_launcher(kind));
      CHECK(after(cmd, [](command each, fd file) { return each.in(file).out(file).err(null); }) ==
            "apple1\n");
      CHECK(after(cmd, [](command each, fd file) { return each.in(null).out(file).err(file); }) ==
            "1\n2\ne");
      CHECK(after(cmd, [](command each, fd file) { return each.in(file).out(null).err(file); }) ==
            "apple2\n");
    }
  }

  TEST_CASE("descriptors: what a hook opens is closed before the program runs [K83]") {
    const leak_check leaks;
    CHECK(numbers(open_in_child(lister().pre_exec({open_more}))) == "0 1 2 ");
    const test_pipe passed;
    table expected = own_streams();
    expected[7] = identity(passed.read_end.get());
    CHECK(shown(open_in_child(lister().pre_exec({open_more}), {{7, passed.read_end.get()}})) ==
          shown(expected));
  }

} // TEST_SUITE
