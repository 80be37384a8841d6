// Asio's loop on io_uring, in builds that were made for it.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "own_process.hpp"
#include "refused_calls.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <cerrno>
#include <exception>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <sys/syscall.h>

using namespace subproc;
using namespace subproc::test;

namespace {

bool has_open(const std::string& what) {
  for (const int number : open_descriptors()) {
    std::error_code gone;
    if (std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(number), gone) == what) {
      return true;
    }
  }
  return false;
}

void check_message(const spawn_error& error, int code) {
  CHECK(error.code() == std::error_code(code, detail::system_category()));
  CHECK_MESSAGE(std::string(error.what()).find("io_uring") != std::string::npos, error.what());
}

} // namespace

TEST_SUITE("io_uring") {

  TEST_CASE("io_uring: the loop runs on it, and on no epoll") {
    if (!in_own_process()) {
      return;
    }
    asio::io_context context;
    process child(context, steps({"echo"}).in(piped).out(piped));
    communicate_result result;
    child.async_communicate("text",
                            [&](error_code, communicate_result r) { result = std::move(r); });
    context.run();
    CHECK(result.out == "text");
    CHECK(has_open("anon_inode:[io_uring]"));
    CHECK_FALSE(has_open("anon_inode:[eventpoll]"));
  }

  TEST_CASE("io_uring: a kernel or filter that refuses it is named by the start") {
    if (own_part().empty()) {
      const leak_check leaks;
      for (const int error : {EPERM, ENOSYS}) {
        run_part(std::to_string(error));
      }
      return;
    }
    const int refused = std::stoi(own_part());
    refuse_from_now_on({{SYS_io_uring_setup}}, refused);
    const std::vector<int> before = open_descriptors();
    {
      asio::io_context context;
      check_message(spawn_error_of([&] { process(context, command("true")); }), refused);
      std::exception_ptr failed;
      async_run(context, command("true"),
                [&](std::exception_ptr error, const completed_process&) { failed = error; });
      context.run();
      REQUIRE(failed);
      check_message(spawn_error_of([&] { std::rethrow_exception(failed); }), refused);
      CHECK_FALSE(has_children()); // nothing was started
    }
    CHECK(open_descriptors() == before);
    // The blocking forms need no loop.
    CHECK(run(command("cat").input("text").out(piped)).out == "text");
  }

} // TEST_SUITE
