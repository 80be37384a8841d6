// Pipes, by their descriptors: flags, terminals, names, SIGPIPE, and what goes through them.

#include <subproc/process.hpp>

#include "children.hpp"
#include "line_reading.hpp"
#include "moved.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/read.hpp>
#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <functional>
#include <string>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

using namespace subproc;
using namespace subproc::test;
using namespace std::chrono_literals;

namespace {

std::uint64_t written_by(int pid) {
  std::ifstream io("/proc/" + std::to_string(pid) + "/io");
  std::string key;
  std::uint64_t value = 0;
  while (io >> key >> value) {
    if (key == "wchar:") {
      return value;
    }
  }
  return 0;
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t pages = 0;
  statm >> pages >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

} // namespace

TEST_SUITE("pipe") {

  TEST_CASE(
      "pipe: the caller's ends do not block and close on exec, the child's ends block [T15]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"read:1"}).in(piped).out(piped).err(piped));
    for (const int descriptor :
         {child.in().native_handle(), child.out().native_handle(), child.err().native_handle()}) {
      CHECK((::fcntl(descriptor, F_GETFL) & O_NONBLOCK) != 0);
      CHECK((::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0);
    }
    for (const char* stream : {"0", "1", "2"}) {
      std::ifstream info("/proc/" + std::to_string(child.pid()) + "/fdinfo/" + stream);
      std::string key;
      std::string flags;
      while (info >> key && key != "flags:") {
        std::getline(info, flags);
      }
      info >> flags;
      REQUIRE_FALSE(flags.empty());
      CHECK((std::stoul(flags, nullptr, 8) & O_NONBLOCK) == 0);
    }
  }

  TEST_CASE("pipe: a slow reader gets all that a child writes without looking [T15]") {
    const leak_check leaks;
    asio::io_context context;
    const test_pipe output;
    const int flags = ::fcntl(output.write_end.get(), F_GETFL);
    process child(context, command("seq", "1", "300000").out(fd(output.write_end.get())));
    CHECK(::fcntl(output.write_end.get(), F_GETFL) == flags);
    ::close(const_cast<test_pipe&>(output).write_end.release());

    std::size_t bytes = 0;
    std::array<char, 777> buffer; // far less than the pipe holds: the child waits for us
    for (ssize_t n = 0; (n = ::read(output.read_end.get(), buffer.data(), buffer.size())) > 0;) {
      bytes += static_cast<std::size_t>(n);
    }
    CHECK(bytes == 1'988'895);
    CHECK(child.wait().success());
  }

  TEST_CASE("pipe: a descriptor that does not block here blocks in the child [T15]") {
    const leak_check leaks;
    asio::io_context context;
    test_pipe output;
    REQUIRE(::fcntl(output.write_end.get(), F_SETFL, O_NONBLOCK) == 0);
    process child(context, command("seq", "1", "300000").out(fd(output.write_end.get())));
    CHECK((::fcntl(output.write_end.get(), F_GETFL) & O_NONBLOCK) != 0);
    output.write_end.reset();

    std::size_t bytes = 0;
    std::array<char, 777> buffer;
    for (ssize_t n = 0; (n = ::read(output.read_end.get(), buffer.data(), buffer.size())) > 0;) {
      bytes += static_cast<std::size_t>(n);
    }
    CHECK(bytes == 1'988'895);
    CHECK(child.wait().success());
  }

  TEST_CASE("pipe: a pty's master that does not block is given as it is, not a new one") {
    const leak_check leaks;
    const unique_handle master(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    REQUIRE(::grantpt(master.get()) == 0);
    REQUIRE(::unlockpt(master.get()) == 0);
    std::array<char, 64> name{};
    REQUIRE(::ptsname_r(master.get(), name.data(), name.size()) == 0);
    const unique_handle slave(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    asio::io_context context;
    process child(context, steps({"say:word"}).out(fd(master.get())));
    CHECK(child.wait().success());
    REQUIRE(readable(slave.get()));
    std::array<char, 16> text{};
    CHECK(::read(slave.get(), text.data(), text.size()) == 5);
    CHECK(std::string(text.data()) == "word\n");
  }

  TEST_CASE("pipe: an inherited stdout keeps its flags, and the child's blocks [T15]") {
    const leak_check leaks;
    asio::io_context context;
    const unique_handle saved(::fcntl(1, F_DUPFD_CLOEXEC, 3));
    REQUIRE(saved);
    test_pipe output;
    REQUIRE(::fcntl(output.write_end.get(), F_SETFL, O_NONBLOCK) == 0);
    REQUIRE(::dup2(output.write_end.get(), 1) == 1);
    output.write_end.reset();
    std::size_t bytes = 0;
    int flags = 0;
    exit_status status;
    {
      process child(context, command("seq", "1", "300000"));
      flags = ::fcntl(1, F_GETFL);
      REQUIRE(::dup2(saved.get(), 1) == 1);
      std::array<char, 777> buffer;
      for (ssize_t n = 0; (n = ::read(output.read_end.get(), buffer.data(), buffer.size())) > 0;) {
        bytes += static_cast<std::size_t>(n);
      }
      status = child.wait();
    }
    CHECK((flags & O_NONBLOCK) != 0);
    CHECK(bytes == 1'988'895);
    CHECK(status.success());
  }

  TEST_CASE("pipe: the child can reopen its streams by name [T16] [K126]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, shell("cat /dev/stdin; echo out >/dev/stdout; echo err >/proc/self/fd/2")
                               .in(piped)
                               .out(piped)
                               .err(piped));
    const communicate_result result = child.communicate("in\n");
    CHECK(result.status.success());
    CHECK(result.out == "in\nout\n");
    CHECK(result.err == "err\n");
  }

  TEST_CASE("pipe: a write to a child that is gone is an error and no SIGPIPE [T38]") {
    const leak_check leaks;
    asio::io_context context;
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    struct sigaction before {};
    REQUIRE(::sigaction(SIGPIPE, &standard, &before) == 0);
    process child(context, steps({"exit:0"}).in(piped));
    REQUIRE(child.wait().success());

    moved write;
    child.in().async_write_some(asio::buffer("x", 1), write.handler());
    run(context);
    CHECK(write.ec == asio::error::broken_pipe);
    error_code ec;
    CHECK(child.in().write_some(asio::buffer("x", 1), ec) == 0);
    CHECK(ec == asio::error::broken_pipe);
    sigset_t pending;
    ::sigpending(&pending);
    CHECK(::sigismember(&pending, SIGPIPE) == 0);
    sigset_t mask;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    CHECK(::sigismember(&mask, SIGPIPE) == 0);
    ::sigaction(SIGPIPE, &before, nullptr);
  }

  TEST_CASE("pipe: a SIGPIPE that was pending before a write stays pending [T38]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"exit:0"}).in(piped));
    REQUIRE(child.wait().success());
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigset_t before;
    ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    ::raise(SIGPIPE);

    error_code ec;
    child.in().write_some(asio::buffer("x", 1), ec);
    CHECK(ec == asio::error::broken_pipe);
    sigset_t pending;
    ::sigpending(&pending);
    CHECK(::sigismember(&pending, SIGPIPE) == 1);
    const timespec none{};
    CHECK(::sigtimedwait(&pipe_signal, nullptr, &none) == SIGPIPE);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  TEST_CASE("pipe: a cancelled write has written nothing") {
    const leak_check leaks;
    asio::io_context context;
    const test_pipe gate;
    process child(
        context,
        steps({"byte:9", "count"}).in(piped).out(piped).map_fds({{9, gate.read_end.get()}}));
    // The pipe is filled to the brim, then one write waits for room.
    const std::string block(4096, 'x');
    std::size_t sent = 0;
    moved write;
    asio::cancellation_signal signal;
    do {
      write = {};
      child.in().async_write_some(asio::buffer(block),
                                  asio::bind_cancellation_slot(signal.slot(), write.handler()));
      context.restart();
      context.poll();
      sent += write.bytes;
    } while (write.calls == 1);
    CHECK(sent == static_cast<std::size_t>(::fcntl(child.in().native_handle(), F_GETPIPE_SZ)));
    signal.emit(asio::cancellation_type::total);
    run(context);
    CHECK(write.ec == asio::error::operation_aborted);
    CHECK(write.bytes == 0);
    CHECK(child.poll() == std::nullopt);

    REQUIRE(::write(gate.write_end.get(), "x", 1) == 1);
    CHECK(child.communicate().out == std::to_string(sent));
  }

  TEST_CASE("pipe: a child is held back by a reader that does not read [T45]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"out:8000000"}).out(piped));
    const auto capacity =
        static_cast<std::uint64_t>(::fcntl(child.out().native_handle(), F_GETPIPE_SZ));
    const auto full = [&] {
      int held = 0;
      ::ioctl(child.out().native_handle(), FIONREAD, &held);
      // It keeps whole pages, of which the first and those at the ends of a write are not full.
      return static_cast<std::uint64_t>(held) + 4 * 4096 >= capacity;
    };
    moved waited;
    child.async_wait(20ms, [&](error_code ec, exit_status) { waited.ec = ec; });
    run(context); // the loop turns and reads nothing by itself
    CHECK(waited.ec == asio::error::timed_out);

    std::string block(100'000, '\0');
    std::uint64_t taken = 0;
    for (int i = 0; i < 20; ++i) {
      REQUIRE(eventually(full));
      CHECK(written_by(child.pid()) <= taken + capacity);
      taken += asio::read(child.out(), asio::buffer(block));
    }
    child.kill();
  }

  TEST_CASE("pipe: memory stays flat while much goes through [T45]") {
    const leak_check leaks;
    asio::io_context context;
    constexpr std::uint64_t size = sanitized ? 256'000'000 : 1'000'000'000;
    process child(context, steps({"out:" + std::to_string(size)}).out(piped));
    std::string block(65536, '\0');
    std::uint64_t total = 0;
    bool right = true;
    std::size_t at_start = 0;
    std::function<void()> read = [&] {
      child.out().async_read_some(asio::buffer(block), [&](error_code ec, std::size_t n) {
        right = right && (n == 0 || static_cast<unsigned char>(block[0]) == total % 251);
        total += n;
        if (at_start == 0 && total > 1'000'000) {
          at_start = resident_bytes();
        }
        if (!ec) {
          read();
        }
      });
    };
    read();
    run(context);
    CHECK(total == size);
    CHECK(right);
    CHECK(resident_bytes() < at_start + size / 4); // sanitizers keep freed memory for a while
  }

} // TEST_SUITE
