// Want of memory at each place of a start. The allocator of the whole program is replaced for that,
// and does as the standard's one unless a case says otherwise.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "own_process.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <new>
#include <optional>

using namespace subproc;
using namespace subproc::test;

namespace {

thread_local long left_to_allocate = -1; // below 0: without end

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

} // TEST_SUITE
