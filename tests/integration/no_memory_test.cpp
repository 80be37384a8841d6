// Want of memory at each place of a start. The allocator of the whole program is replaced for that,
// and does as the standard's one unless a case says otherwise.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "both_ways.hpp"
#include "children.hpp"
#include "own_process.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <new>
#include <optional>
#include <string>

#include <sys/resource.h>

using namespace subproc;
using namespace subproc::test;

namespace {

thread_local long left_to_allocate = -1; // below 0: without end

// The size of this program's address space.
std::size_t pages_in_use() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages;
}

} // namespace

void* operator new(std::size_t size) {
  if (left_to_allocate == 0) {
    throw std::bad_alloc();
  }
  left_to_allocate -= left_to_allocate > 0 ? 1 : 0;
  if (void* const memory = std::malloc(size == 0 ? 1 : size)) {
    return memory;
  }
  throw std::bad_alloc();
}

void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return left_to_allocate == 0 ? nullptr : std::malloc(size == 0 ? 1 : size);
}

void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

TEST_SUITE("no_memory") {

  TEST_CASE("no_memory: wherever a start lacks it, no child and no descriptor is left [T4]") {
    if (!in_own_process()) {
      return;
    }
    warm_up();
    asio::io_context context;
    for (const launcher_kind kind :
         {launcher_kind::none, launcher_kind::vfork, launcher_kind::fork}) {
      CAPTURE(to_string(kind));
      const command cmd = steps({"byte:0"})
                              .in(piped)
                              .pass_bytes(5, "some bytes")
                              .process_group(0)
                              .with(limits{.rlimits = {{"core", 0}}})
                              .launcher(make_launcher(kind));
      process(context, command("true")).wait(); // opens what the loop keeps
      const std::vector<int> before = open_descriptors();
      long enough = 0;
      for (bool failed = true; failed && enough < 500; ++enough) {
        std::optional<process> child;
        command copy = cmd;
        left_to_allocate = enough;
        try {
          child.emplace(context, std::move(copy));
          failed = false;
        } catch (const std::bad_alloc&) {
        }
        left_to_allocate = -1;
        if (failed) {
          CAPTURE(enough);
          REQUIRE_FALSE(has_children());
          REQUIRE(open_descriptors() == before);
        } else {
          child->in().close();
          CHECK(child->wait().success());
        }
      }
      CHECK(enough > 5);
      CHECK(enough < 500);
    }
  }

  TEST_CASE("communicate: want of memory is an error that loses no byte") {
    if (sanitized || !in_own_process()) { // sanitizers need room of their own
      return;
    }
    const leak_check leaks;
    constexpr std::size_t size = 256U << 20U;
    for (const way how : {way::loop, way::blocking}) {
      asio::io_context context;
      process child(context, steps({"out:" + std::to_string(size)}).out(piped));
      rlimit before{};
      ::getrlimit(RLIMIT_AS, &before);
      const rlimit little{(128U << 20U) + 4096 * pages_in_use(), before.rlim_max};
      REQUIRE(::setrlimit(RLIMIT_AS, &little) == 0);
      const outcome first = communicate(context, child, how);
      REQUIRE(::setrlimit(RLIMIT_AS, &before) == 0);
      CHECK(first.ec == std::errc::not_enough_memory);
      const outcome second = communicate(context, child, how);
      CHECK_FALSE(second.ec);
      CHECK(second.result.status.success());
      CHECK(second.result.out == pattern(size));
    }
  }

} // TEST_SUITE
