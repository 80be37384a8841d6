#include <subproc/process.hpp>
#include <subproc/run.hpp>
#include <subproc/wait.hpp>

#include "../../src/platform.hpp"
#include "support.hpp"

#include <asio/io_context.hpp>

#include <cstddef>
#include <vector>

using namespace subproc;
using namespace subproc::test;

namespace {

/// A child that waits for the end of its stdin.
command waiting() { return command(helper("steps"), "echo").in(piped); }

std::error_code signalled(process& child, int number) {
  error_code ec;
  child.send_signal(number, ec);
  return ec;
}

} // namespace

TEST_SUITE("windows: exit") {
  TEST_CASE("windows: 259 (STILL_ACTIVE) is an exit code like any other [T29]") {
    CHECK(run(command(helper("leaves"), "259")).status == exit_status::from_code(259));
    asio::io_context context;
    process child(context, command(helper("leaves"), "259"));
    exit_status status;
    child.async_wait([&](error_code, exit_status got) { status = got; });
    context.run();
    CHECK(status == exit_status::from_code(259));
    CHECK(child.poll() == 259);
    CHECK_FALSE(signalled(child, 9));
  }

  TEST_CASE("windows: an exit code is 32 bits without a sign [T29]") {
    CHECK(run(command(helper("leaves"), "0xC0000005")).status ==
          exit_status::from_code(0xC0000005LL));
    CHECK(run(command(helper("leaves"), "0xFFFFFFFF")).status ==
          exit_status::from_code(0xFFFFFFFFLL));
    for (const int code : {0, 1, 126, 127, 255, 256}) {
      CHECK(run(command(helper("leaves"), std::to_string(code))).status ==
            exit_status::from_code(code));
    }
  }

  TEST_CASE("windows: terminate and kill end a child with code 1, and do nothing to a dead one") {
    asio::io_context context;
    for (const bool kills : {false, true}) {
      process child(context, waiting());
      kills ? child.kill() : child.terminate();
      CHECK(child.wait() == exit_status::from_code(1));
      CHECK_NOTHROW(child.kill());
      CHECK_NOTHROW(child.terminate());
      CHECK(child.returncode() == 1);
    }
    process ended(context, command(helper("steps"), "exit:42"));
    detail::wait_entry entry{ended.native_handle()};
    CHECK(detail::wait_ready({&entry, 1}, steady_clock::time_point::max()));
    CHECK_NOTHROW(ended.kill());
    CHECK(ended.wait() == exit_status::from_code(42));
  }

  TEST_CASE("windows: signals that cannot be sent are refused and the child lives on") {
    asio::io_context context;
    process child(context, waiting());
    CHECK(signalled(child, 2) == std::errc::operation_not_supported);
    CHECK(signalled(child, 21) == std::errc::operation_not_supported); // it leads no group
    CHECK(signalled(child, 77) == std::errc::invalid_argument);
    CHECK_FALSE(signalled(child, 0));
    CHECK_FALSE(child.poll().has_value());
    child.in().close();
    CHECK(child.wait() == exit_status::from_code(0));
    CHECK_FALSE(signalled(child, 2));
  }

  TEST_CASE("windows: the usage of a child is known after its exit") {
    const completed_process done = run(command(helper("steps"), "out:1000000").out(null));
    if (under_wine()) {
      excuse("Wine 8 forgets the memory of a process with its exit. Windows keeps the peak for who "
             "has a handle (GetProcessMemoryInfo).");
    } else {
      CHECK(done.usage.max_resident_bytes > 0);
    }
    CHECK(done.end_time >= done.start_time);
  }

  TEST_CASE("windows: a released handle is the process, which can be waited for") {
    asio::io_context context;
    process child(context, command(helper("steps"), "exit:5"));
    const released_child released = child.release();
    CHECK(released.pid > 0);
    detail::wait_entry entry{released.handle.get()};
    CHECK(detail::wait_ready({&entry, 1}, steady_clock::time_point::max()));
  }

  TEST_CASE("windows: the first of 70 children is waited for, and all, blocking") {
    asio::io_context context;
    std::vector<process> children;
    for (int i = 0; i < 70; ++i) {
      children.emplace_back(context, waiting());
    }
    children[67].in().close();
    const auto first = wait_any(children);
    CHECK(first.index == 67);
    CHECK(first.status == exit_status::from_code(0));
    for (process& child : children) {
      child.in().close();
    }
    for (const exit_status status : wait_all(children)) {
      CHECK(status == exit_status::from_code(0));
    }
  }

  TEST_CASE("windows: a child that is dropped is ended") {
    asio::io_context context;
    int pid = 0;
    {
      process child(context, waiting());
      pid = child.pid();
      CHECK(is_running(pid));
    }
    CHECK(eventually([&] { return !is_running(pid); }));
  }

  TEST_CASE("windows: any of more children than one call of the system can wait for") {
    asio::io_context context;
    std::vector<process> children;
    for (int i = 0; i < 70; ++i) {
      children.emplace_back(context, waiting());
    }
    const auto end = [&](std::size_t which) { children[which].in().close(); };
    end(69);
    CHECK(wait_any(children).index == 69);
    children.pop_back();
    std::size_t ended = 0;
    async_wait_any(children, [&](error_code ec, std::size_t which, exit_status) {
      CHECK_FALSE(ec);
      ended = which;
    });
    end(67);
    context.run();
    CHECK(ended == 67);
    for (std::size_t i = 0; i < children.size(); ++i) {
      end(i);
    }
    CHECK(wait_all(children) == std::vector<exit_status>(69, exit_status::from_code(0)));
  }
}
