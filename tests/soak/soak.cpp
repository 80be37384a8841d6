// Starts very many children in every way, from several threads at once, and looks now and then
// whether memory, descriptors, children and threads stay as they were after the warm-up.
//
//   soak SPAWNS [THREADS] [SEED] [WAYS]     default: 4 threads; exit code 1 when something grows
//
// WAYS, to narrow down what grows, is children, pools or pipelines; else all take turns by chance,
// one in eight a pool, one a pipeline, each child of which is a spawn.
//
// What is flat: no child and no descriptor more than after the warm-up at each look, for which all
// threads stand still; no thread more than the library's own; and resident memory within
// `memory_tolerance` of the highest of the warm-up. The allocator gives no promise about
// fragmentation, and which thread reads the largest output first is chance: a leak of 16 bytes a
// spawn passes 4 MiB at 262,144 spawns, one of a descriptor, a child or a thread at once.

#include <subproc/subproc.hpp>

#define DOCTEST_CONFIG_IMPLEMENT // support.hpp wants its strings
#include "pipelines.hpp"
#include "pools.hpp"
#include "support.hpp"
#include "ways.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;
using soak::dice;
using soak::require;
using soak::steps;

namespace {

// A sanitizer keeps what is freed for a while.
constexpr std::size_t memory_tolerance = std::size_t{sanitized ? 1024 : 4} << 20U;

/// Starts one child, in a way that chance decides, and holds what came of it.
class children {
public:
  explicit children(dice& chosen) : dice_(chosen) {}

  std::size_t one() {
    switch (below(16)) {
    case 0:
    case 1:
    case 2:
      require(run(options(command(helper("nothing")))).status.success(), "nothing");
      break;
    case 3:
    case 4:
      input_and_output();
      break;
    case 5:
      require(call(steps({"exit:7"})).exit_code() == 7, "exit code");
      break;
    case 6:
      missing();
      break;
    case 7:
      timed_out();
      break;
    case 8:
    case 9:
      on_loop();
      break;
    case 10:
      dropped();
      break;
    case 11:
      passed();
      break;
    case 12:
      cancelled();
      break;
    case 13:
      stopped();
      break;
    case 14:
      merged();
      break;
    default:
      waited();
    }
    return 1;
  }

private:
  unsigned below(unsigned limit) { return dice_.below(limit); }
  bool chance() { return dice_.chance(); }

  command options(command cmd) {
    if (chance()) {
      cmd.cwd("/");
    }
    if (chance()) {
      cmd.env(environment::inherit().set("SOAK", std::to_string(below(1000))));
    }
    if (below(4) == 0) {
      cmd.new_session();
    } else if (below(4) == 0) {
      cmd.process_group(0);
    }
    if (below(4) == 0) {
      cmd.umask(022);
    }
    if (below(8) == 0) {
      cmd.out(null);
    }
    if (below(16) == 0) {
      cmd.close_fds(false);
    }
    if (below(8) == 0) {
      cmd.launcher(make_launcher(chance() ? launcher_kind::vfork : launcher_kind::fork));
    }
    return cmd;
  }

  void input_and_output() {
    const std::string input = dice_.text();
    require(run(steps({"echo"}).input(input).capture_output()).out == input, "echo");
  }

  void missing() {
    try {
      run(command(chance() ? "/no/such/program" : "/").capture_output());
    } catch (const spawn_error& error) {
      require(error.step() == spawn_step::exec, "the step of a missing program");
      return;
    }
    throw std::runtime_error("a missing program was started");
  }

  void timed_out() {
    try {
      run(command(helper("forever")).capture_output().timeout(1ms));
    } catch (const timeout_expired& error) {
      require(error.result().status.signal() == SIGKILL, "killed at the time-out");
      return;
    }
    throw std::runtime_error("no time-out");
  }

  void on_loop() {
    asio::io_context context;
    const std::string input = dice_.text();
    bool good = false;
    async_run(context, steps({"echo"}).input(input).capture_output(),
              [&](std::exception_ptr error, const completed_process& done) {
                good = !error && done.out == input;
              });
    context.run();
    require(good, "async_run");
  }

  void dropped() {
    asio::io_context context;
    const drop_policy policies[] = {drop_policy::kill, drop_policy::terminate, drop_policy::detach};
    // Its input ends with the object, so that it ends whatever the policy is.
    process child(context, steps({"byte:0"}).in(piped).drop(policies[below(3)]));
    if (below(4) == 0) {
      child.detach();
    }
  }

  void passed() {
    int ends[2];
    require(::pipe2(ends, O_CLOEXEC) == 0, "pipe2");
    const unique_handle read_end(ends[0]);
    unique_handle write_end(ends[1]);
    require(::write(write_end.get(), "x", 1) == 1, "write");
    require(run(steps({"byte:9"}).map_fds({{9, read_end.get()}})).status.success(), "map_fds");
  }

  void cancelled() {
    asio::io_context context;
    asio::cancellation_signal signal;
    bool called = false;
    async_spawn(context, command(helper("forever")),
                asio::bind_cancellation_slot(signal.slot(),
                                             [&](std::exception_ptr, process) { called = true; }));
    if (chance()) {
      context.poll();
    }
    signal.emit(asio::cancellation_type::terminal);
    context.run();
    require(called, "async_spawn cancelled");
  }

  void stopped() {
    asio::io_context context;
    process child(context, command(helper("forever")).process_group(0));
    bool good = false;
    child.async_stop(
        10s, [&](error_code ec, const stop_result& done) { good = !ec && !done.status.unknown(); });
    context.run();
    require(good, "async_stop");
  }

  void merged() {
    const std::string both = check_output(steps({"say:a", "warn:b"}).err(merge));
    require(both == "a\nb\n", "merge");
  }

  void waited() {
    asio::io_context context;
    process child(context, steps({"byte:0", "exit:3"}).in(piped));
    int code = -1;
    child.async_wait([&](error_code, exit_status status) {
      code = static_cast<int>(status.exit_code().value_or(-1));
    });
    child.in().close();
    context.run();
    require(code == 3, "async_wait");
  }

  dice& dice_;
};

enum class ways { all, children, pools, pipelines };

class worker {
public:
  worker(unsigned seed, ways chosen) : dice_(seed), ways_(chosen) {}

  /// How many children there were.
  std::size_t one() {
    const unsigned turn = dice_.below(8);
    const bool all = ways_ == ways::all;
    if (ways_ == ways::pools || (all && turn == 0)) {
      return soak::pools(dice_).one();
    }
    if (ways_ == ways::pipelines || (all && turn == 1)) {
      return soak::pipelines(dice_).one();
    }
    return children(dice_).one();
  }

private:
  dice dice_;
  ways ways_;
};

struct figures {
  std::size_t resident = 0;
  std::size_t descriptors = 0;
  std::size_t threads = 0;
  bool children = false;
};

figures look() {
  // The reaper closes a pidfd a moment after the child is gone.
  const bool gone = eventually([] { return !has_children() && !has_pidfds(); });
  figures now;
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  now.resident = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  now.descriptors = open_descriptors().size();
  now.threads = thread_count();
  now.children = !gone;
  return now;
}

class test_run {
public:
  test_run(std::size_t spawns, std::size_t threads, unsigned seed, ways chosen)
      : most_(spawns), threads_(threads), seed_(seed), ways_(chosen),
        round_(std::clamp<std::size_t>(spawns / 50, 100, 10'000)),
        barrier_(static_cast<std::ptrdiff_t>(threads), after_round{this}) {}

  bool run() {
    std::printf("%9s %9s %8s %12s %8s %8s\n", "spawns", "seconds", "RSS KiB", "descriptors",
                "threads", "children");
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < threads_; ++i) {
      threads.emplace_back([this, i] { work(seed_ + static_cast<unsigned>(i)); });
    }
    for (std::thread& each : threads) {
      each.join();
    }
    std::printf("%s: %zu spawns, resident memory at most %+.0f KiB against the warm-up\n",
                failed_ ? "FAILED" : "flat", done_.load(),
                (static_cast<double>(highest_) - static_cast<double>(after_warm_up_.resident)) /
                    1024);
    return !failed_;
  }

private:
  struct after_round {
    test_run* self;
    void operator()() noexcept { self->measure(); }
  };

  void work(unsigned seed) {
    worker mine(seed, ways_);
    while (!over_) {
      while (in_round_ < round_) {
        std::size_t spawns = 1;
        try {
          spawns = mine.one();
        } catch (const std::exception& error) {
          std::fprintf(stderr, "after %zu spawns: %s\n", done_.load(), error.what());
          failed_ = true;
        }
        in_round_ += spawns;
        done_ += spawns;
      }
      barrier_.arrive_and_wait();
    }
  }

  // All threads stand still.
  void measure() noexcept {
    in_round_ = 0;
    ++rounds_;
    const figures now = look();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    std::printf("%9zu %9.1f %8zu %12zu %8zu %8s\n", done_.load(), seconds, now.resident / 1024,
                now.descriptors, now.threads, now.children ? "some" : "none");
    std::fflush(stdout);
    if (rounds_ <= warm_up_rounds) {
      after_warm_up_ = {std::max(now.resident, after_warm_up_.resident),
                        std::max(now.descriptors, after_warm_up_.descriptors),
                        std::max(now.threads, after_warm_up_.threads), false};
    } else {
      grown(now.resident > after_warm_up_.resident + memory_tolerance, "memory");
      grown(now.descriptors > after_warm_up_.descriptors, "the number of descriptors");
      grown(now.threads > after_warm_up_.threads, "the number of threads");
    }
    grown(now.children, "the number of children");
    highest_ = std::max(highest_, now.resident);
    over_ = done_ >= most_ || failed_;
  }

  void grown(bool has, const char* what) noexcept {
    if (has) {
      std::fprintf(stderr, "after %zu spawns %s has grown\n", done_.load(), what);
      failed_ = true;
    }
  }

  static constexpr int warm_up_rounds = 5;

  const std::size_t most_;
  const std::size_t threads_;
  const unsigned seed_;
  const ways ways_;
  const std::size_t round_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::atomic<std::size_t> in_round_{0};
  std::atomic<std::size_t> done_{0};
  std::atomic<bool> over_{false};
  std::atomic<bool> failed_{false};
  int rounds_ = 0;
  figures after_warm_up_;
  std::size_t highest_ = 0;
  std::barrier<after_round> barrier_;
};

} // namespace

int main(int argc, char** argv) {
  const long spawns = argc > 1 ? std::atol(argv[1]) : 0;
  const long threads = argc > 2 ? std::atol(argv[2]) : 4;
  const unsigned seed = argc > 3 ? static_cast<unsigned>(std::atol(argv[3])) : 1;
  const std::string_view narrowed = argc > 4 ? argv[4] : "";
  const ways chosen = narrowed == "children"    ? ways::children
                      : narrowed == "pools"     ? ways::pools
                      : narrowed == "pipelines" ? ways::pipelines
                                                : ways::all;
  if (spawns < 1 || threads < 1 || (chosen == ways::all && !narrowed.empty())) {
    std::fputs("usage: soak SPAWNS [THREADS] [SEED] [children|pools|pipelines]\n", stderr);
    return 2;
  }
  test_run all(static_cast<std::size_t>(spawns), static_cast<std::size_t>(threads), seed, chosen);
  return all.run() ? 0 : 1;
}
