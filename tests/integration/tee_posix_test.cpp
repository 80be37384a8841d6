// tee into pipes, sockets and terminals that are full, closed or not ours to open.

#include <subproc/pool.hpp>
#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "both_ways.hpp"
#include "children.hpp"
#include "ended.hpp"
#include "own_process.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

using sink_to = subproc::tee; // unqualified it is also the system call

int flags_of(int descriptor) { return ::fcntl(descriptor, F_GETFL); }

// Reads a descriptor to its end on a thread of its own, from when begin() is called.
class reader {
public:
  explicit reader(int descriptor) : descriptor_(descriptor) {}
  ~reader() {
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  void begin() {
    thread_ = std::thread([this] {
      std::string block(65536, '\0');
      ssize_t n = 0;
      while ((n = ::read(descriptor_, block.data(), block.size())) > 0) {
        bytes_.append(block, 0, static_cast<std::size_t>(n));
      }
    });
  }

  // The other ends have to be closed.
  const std::string& all() {
    thread_.join();
    return bytes_;
  }

private:
  int descriptor_;
  std::string bytes_;
  std::thread thread_;
};

// A pipe that takes nothing more.
struct full_pipe : test_pipe {
  full_pipe() {
    REQUIRE(::fcntl(write_end.get(), F_SETPIPE_SZ, 4096) == 4096);
    REQUIRE(::write(write_end.get(), filling.data(), filling.size()) == 4096);
  }
  const std::string filling = std::string(4096, '.');
};

struct temporary_folder {
  temporary_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "tee-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~temporary_folder() { std::filesystem::remove_all(path); }

  std::string operator/(const char* name) const { return (path / name).string(); }

  std::filesystem::path path;
};

std::string content(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A tick each millisecond, for as long as somebody looks.
class ticks {
public:
  explicit ticks(asio::io_context& context) : timer_(context) { next(); }
  void stop() {
    stopped_ = true;
    timer_.cancel();
  }
  int count() const { return count_; }

private:
  void next() {
    timer_.expires_after(1ms);
    timer_.async_wait([this](error_code) {
      ++count_;
      if (!stopped_) {
        next();
      }
    });
  }

  asio::steady_timer timer_;
  std::atomic<int> count_ = 0;
  bool stopped_ = false;
};

// stdout's sink takes nothing until all of stderr was captured and the loop has turned: then all
// has to come.
void check_stall(int sink_write, int sink_read,
                 const std::function<process(asio::io_context&)>& start, std::size_t size) {
  in_both_ways([&](asio::io_context& context, way how) {
    const int before = flags_of(sink_write);
    process child = start(context);
    std::atomic<bool> stalled = false;
    std::atomic<int> ticked = 0;
    std::string passed;
    std::optional<ticks> ticker;
    if (how == way::loop) {
      ticker.emplace(context);
    }
    std::thread late([&] {
      stalled = eventually([&] { return child.captured().err.size() == size; });
      if (ticker) {
        const int then = ticker->count();
        eventually([&] { return ticker->count() >= then + 20; });
        ticked = ticker->count() - then;
      }
      stalled = stalled && child.captured().out.size() < size;
      stalled = stalled && flags_of(sink_write) == before;
      std::string block(65536, '\0');
      while (passed.size() < size) {
        const ssize_t n = ::read(sink_read, block.data(), block.size());
        if (n <= 0) {
          break;
        }
        passed.append(block, 0, static_cast<std::size_t>(n));
      }
    });
    outcome done;
    if (ticker) {
      child.async_communicate([&](error_code ec, communicate_result result) {
        done = {ec, std::move(result)};
        ticker->stop();
      });
      context.run();
      CHECK(ticked >= 20);
    } else {
      done = communicate(context, child, how);
    }
    late.join();
    CHECK(stalled);
    CHECK_FALSE(done.ec);
    CHECK_FALSE(done.result.out_tee_error);
    CHECK((done.result.out == pattern(size)));
    CHECK((passed == pattern(size)));
    CHECK(flags_of(sink_write) == before);
  });
}

const std::string both_at_once = "\"$0\" out:1000000 & \"$0\" err:1000000; wait";

} // namespace

TEST_SUITE("tee") {

  TEST_CASE("tee: a full sink holds back its own stream alone, and the loop turns [T45]") {
    const leak_check leaks;
    const watchdog guard;
    std::array<int, 2> ends{};
    const auto start = [&](asio::io_context& context) {
      return process(context,
                     shell(both_at_once, helper("steps")).out(sink_to(fd(ends[1]))).err(piped));
    };
    SUBCASE("a pipe") {
      const test_pipe sink;
      ends = {sink.read_end.get(), sink.write_end.get()};
      check_stall(ends[1], ends[0], start, 1'000'000);
    }
    SUBCASE("a pipe that may not be opened anew") {
      const test_pipe sink;
      ends = {sink.read_end.get(), sink.write_end.get()};
      REQUIRE(::fchmod(ends[1], 0) == 0);
      check_stall(
          ends[1], ends[0],
          [&](asio::io_context& context) {
            ::setfsuid(65534); // root may open anything; the child's exec takes it back
            process child = start(context);
            ::setfsuid(::geteuid());
            return child;
          },
          1'000'000);
    }
    SUBCASE("a socket") {
      REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
      const unique_handle first(ends[0]);
      const unique_handle second(ends[1]);
      check_stall(ends[1], ends[0], start, 1'000'000);
    }
  }

  TEST_CASE("tee: a sink that nobody reads ends the passing on alone, and no SIGPIPE [T38]") {
    const leak_check leaks;
    const watchdog guard;
    struct sigaction at_default {};
    struct sigaction before {};
    at_default.sa_handler = SIG_DFL;
    ::sigaction(SIGPIPE, &at_default, &before);
    for (const bool from_the_start : {true, false}) {
      in_both_ways([&](asio::io_context& context, way how) {
        test_pipe sink;
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
        unique_handle far(ends[0]);
        const unique_handle near(ends[1]);
        process child(context, steps({"out:300000", "err:300000", "exit:2"})
                                   .out(sink_to(fd(sink.write_end.get())))
                                   .err(sink_to(fd(near.get()))));
        sink.write_end.reset();
        std::thread leaves;
        if (from_the_start) {
          sink.read_end.reset();
          far.reset();
        } else {
          leaves = std::thread([&] { // in the middle
            readable(sink.read_end.get());
            sink.read_end.reset();
            readable(far.get());
            far.reset();
          });
        }
        const outcome done = communicate(context, child, how);
        if (leaves.joinable()) {
          leaves.join();
        }
        CHECK_FALSE(done.ec);
        CHECK(done.result.status == exit_status::from_code(2));
        CHECK((done.result.out == pattern(300'000)));
        CHECK((done.result.err == pattern(300'000)));
        CHECK(done.result.out_tee_error == std::errc::broken_pipe);
        const error_code other = done.result.err_tee_error;
        CHECK((other == std::errc::broken_pipe || other == std::errc::connection_reset));
      });
    }
    ::sigaction(SIGPIPE, &before, nullptr);
  }

  TEST_CASE("tee: a sink that is out of room ends the passing on, and the result says why") {
    const leak_check leaks;
    const completed_process done = run(steps({"out:300000", "say:end", "err:10"})
                                           .out(sink_to(file("/dev/full")))
                                           .err(sink_to(file("/dev/null"))));
    CHECK(done.out == pattern(300'000) + "end\n");
    CHECK(done.out_tee_error == std::errc::no_space_on_device);
    CHECK(done.err == pattern(10));
    CHECK_FALSE(done.err_tee_error);
    in_both_ways([](asio::io_context& context, way how) {
      process child(context, steps({"out:300000"}).out(sink_to(file("/dev/full"))));
      const outcome same = communicate(context, child, how);
      CHECK((same.result.out == pattern(300'000)));
      CHECK(same.result.out_tee_error == std::errc::no_space_on_device);
    });
  }

  TEST_CASE("tee: both streams may go to one sink") {
    const leak_check leaks;
    const watchdog guard;
    in_both_ways([](asio::io_context& context, way how) {
      test_pipe sink;
      reader all(sink.read_end.get());
      const sink_to there{fd(sink.write_end.get())};
      process child(
          context,
          shell("yes o | head -c 400000 & yes e | head -c 400000 >&2; wait").out(there).err(there));
      sink.write_end.reset();
      all.begin();
      const outcome done = communicate(context, child, how);
      CHECK_FALSE(done.ec);
      std::string passed = all.all();
      CHECK(passed.size() == 800'000);
      CHECK(std::count(passed.begin(), passed.end(), 'o') == 200'000);
      CHECK(std::count(passed.begin(), passed.end(), 'e') == 200'000);
      CHECK(done.result.out.size() == 400'000);
      CHECK(done.result.err.size() == 400'000);
    });
  }

  TEST_CASE("tee: what a limit drops is passed on all the same, in flat memory [T45] [T42]") {
    const leak_check leaks;
    const watchdog guard;
    static constexpr std::size_t size = sanitized ? 20'000'000 : 100U << 20U;
    in_both_ways([](asio::io_context& context, way how) {
      for (const overflow policy : {overflow::head, overflow::tail}) {
        test_pipe sink;
        std::atomic<std::size_t> passed = 0;
        process child(context, steps({"out:" + std::to_string(size)})
                                   .out(sink_to(fd(sink.write_end.get())))
                                   .limit(1000, policy));
        sink.write_end.reset();
        reset_peak_resident_bytes();
        const std::size_t before = peak_resident_bytes();
        std::thread counter([&] {
          std::string block(65536, '\0');
          for (ssize_t n = 1; n > 0; passed += static_cast<std::size_t>(n)) {
            n = std::max<ssize_t>(0, ::read(sink.read_end.get(), block.data(), block.size()));
          }
        });
        const outcome done = communicate(context, child, how);
        counter.join();
        CHECK(passed == size);
        CHECK(done.result.out.size() == 1000);
        CHECK((sanitized || peak_resident_bytes() < before + size / 4)); // they keep freed memory
      }
    });
    // Also what is read before a limit ends the run.
    const temporary_folder folder;
    try {
      run(steps({"out:200"}).out(sink_to(file(folder / "log"))).limit(100));
      FAIL("a success");
    } catch (const operation_error& error) {
      CHECK(error.code() == errc::output_limit);
      CHECK(content(folder / "log") == pattern(200));
    }
  }

  TEST_CASE("tee: time-outs and cancellations at many points pass each byte on once [T41]") {
    const leak_check leaks;
    const watchdog guard;
    constexpr std::size_t size = times(300'000);
    asio::io_context context;
    test_pipe sink;
    REQUIRE(::fcntl(sink.write_end.get(), F_SETPIPE_SZ, 4096) == 4096);
    REQUIRE(::fcntl(sink.read_end.get(), F_SETFL, O_NONBLOCK) == 0);
    process child(
        context,
        steps({"out:" + std::to_string(size), "exit:1"}).out(sink_to(fd(sink.write_end.get()))));
    std::string passed;
    const auto take = [&](std::size_t most) {
      std::string block(most, '\0');
      const ssize_t n = ::read(sink.read_end.get(), block.data(), most);
      passed.append(block, 0, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    };
    outcome got;
    got.ec = asio::error::timed_out;
    for (std::size_t i = 0; got.ec; ++i) {
      take(3'001);
      if (i % 3 == 2) {
        asio::cancellation_signal signal;
        child.async_communicate(
            asio::bind_cancellation_slot(signal.slot(), [&](error_code ec, communicate_result r) {
              got = {ec, std::move(r)};
            }));
        context.restart();
        context.poll();
        signal.emit(asio::cancellation_type::total);
        context.restart();
        context.run();
      } else {
        got = communicate(context, child, i % 3 == 0 ? way::loop : way::blocking, {}, 1ms);
      }
      const std::string_view held = child.captured().out;
      REQUIRE((got.ec == asio::error::timed_out || got.ec == asio::error::operation_aborted ||
               !got.ec));
      REQUIRE((got.ec ? pattern(size).starts_with(held) : got.result.out == pattern(size)));
    }
    CHECK(got.result.status == exit_status::from_code(1));
    take(4'096);
    CHECK((passed == pattern(size)));
  }

  TEST_CASE("tee: a child that ended in time is a success, whatever its sink still lacks [T40]") {
    const leak_check leaks;
    const watchdog guard;
    const full_pipe sink;
    const command cmd = steps({"out:5000", "exit:3"}).out(sink_to(fd(sink.write_end.get())));
    const auto check = [](const completed_process& done) {
      CHECK(done.status == exit_status::from_code(3));
      CHECK((done.out == pattern(5000)));
      CHECK_FALSE(done.timed_out);
      CHECK(done.out_tee_error == std::errc::timed_out);
    };
    // The time has to be enough for the child: it is made longer until it is.
    for (auto limit = 50ms;; limit *= 2) {
      try {
        check(run(command(cmd).timeout(limit)));
        asio::io_context context;
        std::exception_ptr thrown;
        async_run(context, command(cmd).timeout(limit),
                  [&](std::exception_ptr error, const completed_process& done) {
                    thrown = std::move(error);
                    if (!thrown) {
                      check(done);
                    }
                  });
        context.run();
        if (thrown) {
          std::rethrow_exception(thrown);
        }
        break;
      } catch (const timeout_expired& late) {
        REQUIRE(late.result().status == exit_status::from_signal(SIGKILL));
      }
    }
    // A communicate is followed by another, which passes on the rest.
    in_both_ways([](asio::io_context& context, way how) {
      const full_pipe other;
      process child(context, steps({"out:5000", "exit:3"}).out(sink_to(fd(other.write_end.get()))));
      REQUIRE(has_ended(child));
      CHECK(communicate(context, child, how, {}, 5ms).ec == asio::error::timed_out);
      std::thread late([&] {
        std::string all(4096 + 5000, '\0');
        for (std::size_t done = 0; done < all.size();) {
          done += static_cast<std::size_t>(
              ::read(other.read_end.get(), all.data() + done, all.size() - done));
        }
        CHECK((all == other.filling + pattern(5000)));
      });
      const outcome done = communicate(context, child, how);
      late.join();
      CHECK_FALSE(done.ec);
      CHECK_FALSE(done.result.out_tee_error);
      CHECK((done.result.out == pattern(5000)));
    });
  }

  TEST_CASE("tee: a stop, a cancellation and a drop do not wait for a full sink") {
    const leak_check leaks;
    const watchdog guard;
    const full_pipe sink;
    const test_pipe began;
    const test_pipe never;
    const command cmd = steps({"say:x", "warn:go", "byte:9"})
                            .map_fds({{9, never.read_end.get()}})
                            .out(sink_to(fd(sink.write_end.get())))
                            .err(fd(began.write_end.get()))
                            .process_group(0);
    asio::io_context context;
    bool asked = false;
    pool jobs(
        context, {.concurrency = 1},
        [&](command& next) {
          next = cmd;
          return std::exchange(asked, true) ? next_command::end : next_command::ready;
        },
        [](pool_result result) {
          CHECK(result.process.cancelled);
          CHECK(result.process.out == "x\n");
          CHECK(result.process.out_tee_error == std::errc::operation_canceled);
        });
    std::thread stops([&] {
      readable(began.read_end.get());
      jobs.stop(1h);
    });
    jobs.async_run([](std::exception_ptr, pool_summary) {});
    context.run();
    stops.join();

    {
      asio::io_context other;
      process child(other, cmd);
      REQUIRE(readable(child.out().native_handle()));
      error_code ended;
      child.async_communicate([&](error_code ec, const communicate_result&) { ended = ec; });
      while (child.captured().out.empty()) {
        other.run_one();
      }
      other.poll();
      { const process dropped = std::move(child); }
      other.restart();
      other.run();
      CHECK(ended == asio::error::operation_aborted);
    }
  }

  TEST_CASE("tee: a sink that cannot be written is an error that names it, and nothing starts") {
    const leak_check leaks;
    const temporary_folder folder;
    const test_pipe pipe;
    const auto start = [](const command& cmd) { return spawn_error_of([&] { run(cmd); }); };
    const auto check = [&](const command& cmd, const char* option, std::errc code) {
      const spawn_error error = start(cmd);
      CHECK(error.code() == code);
      CHECK(error.step() == spawn_step::arguments);
      CHECK(error.path() == option);
    };
    int closed = 0;
    {
      const test_pipe gone;
      closed = gone.write_end.get();
    }
    const command touch("touch", folder / "started");
    const auto bad = std::errc::bad_file_descriptor;
    check(command(touch).out(sink_to(fd(-1))), "out", std::errc::invalid_argument);
    check(command(touch).out(sink_to(fd(closed))), "out", bad);
    check(command(touch).err(sink_to(fd(closed))), "err", bad);
    check(command(touch).err(sink_to(fd(pipe.read_end.get()))), "err", bad);
    check(command(touch).out(sink_to(file("x", open_mode::read))), "out",
          std::errc::invalid_argument);
    check(command(touch).out(sink_to(file(std::string("x\0y", 3)))), "out",
          std::errc::invalid_argument);
    // The sink does not take the number of what is missing.
    check(command(touch).in(fd(closed)).out(sink_to(file(folder / "log"))), "in", bad);

    const spawn_error missing = start(command(touch).out(sink_to(file(folder / "no/file"))));
    CHECK(missing.code() == std::errc::no_such_file_or_directory);
    CHECK(missing.step() == spawn_step::open);
    CHECK(missing.path() == folder / "no/file");
    REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
    CHECK(start(command(touch).out(sink_to(file(folder / "fifo")))).code() ==
          std::errc::no_such_device_or_address);
    CHECK_FALSE(std::filesystem::exists(folder / "started"));
  }

  TEST_CASE("tee: a stream that the caller has closed is no sink, and stays closed") {
    if (!in_own_process()) {
      return;
    }
    const unique_handle kept(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
    const temporary_folder folder;
    ::close(STDERR_FILENO);
    const spawn_error error = spawn_error_of([] { run(command("true").err(sink_to())); });
    const completed_process done =
        run(shell("[ -e /proc/self/fd/2 ] || echo closed").out(sink_to(file(folder / "log"))));
    ::dup2(kept.get(), STDERR_FILENO);
    CHECK(error.code() == std::errc::bad_file_descriptor);
    CHECK(error.path() == "err");
    CHECK(done.out == "closed\n");
  }

  TEST_CASE("tee: a terminal gets it by either of its ends, and keeps its flags") {
    const leak_check leaks;
    const watchdog guard;
    const unique_handle master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    REQUIRE(::grantpt(master.get()) == 0);
    REQUIRE(::unlockpt(master.get()) == 0);
    std::array<char, 64> name{};
    REQUIRE(::ptsname_r(master.get(), name.data(), name.size()) == 0);
    const unique_handle slave(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    const std::array flags{flags_of(master.get()), flags_of(slave.get())};
    in_both_ways([&](asio::io_context& context, way how) {
      for (const bool to_master : {false, true}) {
        const int sink = to_master ? master.get() : slave.get();
        const int other = to_master ? slave.get() : master.get();
        process child(context, steps({"say:word"}).out(sink_to(fd(sink))));
        const outcome done = communicate(context, child, how);
        CHECK(done.result.out == "word\n");
        CHECK_FALSE(done.result.out_tee_error);
        std::array<char, 16> text{};
        REQUIRE(readable(other));
        const ssize_t n = ::read(other, text.data(), text.size());
        CHECK(std::string(text.data(), static_cast<std::size_t>(n)) ==
              (to_master ? "word\n" : "word\r\n"));
        if (to_master) { // its echo
          REQUIRE(readable(master.get()));
          CHECK(::read(master.get(), text.data(), text.size()) == 6);
        }
      }
    });
    CHECK(flags_of(master.get()) == flags[0]);
    CHECK(flags_of(slave.get()) == flags[1]);
  }

} // TEST_SUITE
