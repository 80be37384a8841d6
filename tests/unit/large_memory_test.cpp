#include <capture.hpp>
#include <platform.hpp>

#include "../printing.hpp"
#include "../support.hpp"

#include <algorithm>
#include <string>

#include <sys/mman.h>
#include <sys/resource.h>

namespace {

using subproc::detail::capture;
using subproc::detail::reserving_is_free;

constexpr std::size_t mib = 1 << 20;

/// What a string may hold that has taken so many bytes, 1 MiB at a time.
std::size_t capacity_after(std::size_t bytes) {
  const std::string piece(mib, 'x');
  capture kept;
  for (std::size_t had = 0; had < bytes; had += piece.size()) {
    kept.append(piece);
  }
  return kept.take().capacity();
}

// Limits the address space, to more than there is.
class limited_address_space {
public:
  limited_address_space() {
    REQUIRE(::getrlimit(RLIMIT_AS, &before_) == 0);
    rlimit limited = before_;
    limited.rlim_cur = std::min(before_.rlim_max, RLIM_INFINITY - 1);
    REQUIRE(::setrlimit(RLIMIT_AS, &limited) == 0);
  }
  ~limited_address_space() { ::setrlimit(RLIMIT_AS, &before_); }

private:
  rlimit before_{};
};

TEST_SUITE("large_memory") {
  TEST_CASE("large_memory: a large capture reserves far ahead where that is free") {
    CHECK(capacity_after(4 * mib) < 16 * mib);
    if (reserving_is_free()) {
      CHECK(capacity_after(40 * mib) > 1000 * mib);
    } else {
      CHECK(capacity_after(40 * mib) < 160 * mib);
    }
  }

  TEST_CASE("large_memory: an address space with a limit is not taken from others") {
    const limited_address_space limited;
    CHECK_FALSE(reserving_is_free());
    CHECK(capacity_after(40 * mib) < 160 * mib);
  }

  TEST_CASE("large_memory: where all memory is locked none is reserved") {
    if (subproc::test::sanitized || ::mlockall(MCL_FUTURE) != 0) { // sanitizers lock nothing
      MESSAGE("excused here: memory cannot be locked");
      return;
    }
    const std::string mapped(64 * mib, 'x');
    CHECK_FALSE(reserving_is_free());
    REQUIRE(::munlockall() == 0);
  }
}

} // namespace
