#include <subproc/exit_status.hpp>

#include "../printing.hpp"

#include <sstream>

namespace {

using subproc::exit_status;

static_assert(exit_status().unknown());
static_assert(exit_status::from_code(0).success());
static_assert(exit_status::from_signal(9).returncode() == -9);

TEST_SUITE("exit_status") {
  TEST_CASE("exit_status: an exit has a code and nothing else") {
    const exit_status status = exit_status::from_code(3);
    CHECK(status.exited());
    CHECK_FALSE(status.success());
    CHECK_FALSE(status.signalled());
    CHECK(status.exit_code() == 3);
    CHECK(status.returncode() == 3);
    CHECK_FALSE(status.signal().has_value());
    CHECK(to_string(status) == "exited with 3");
  }

  TEST_CASE("exit_status: a death by signal n is -n, never 128+n") {
    const exit_status status = exit_status::from_signal(9);
    CHECK(status.signalled());
    CHECK_FALSE(status.success());
    CHECK(status.signal() == 9);
    CHECK(status.returncode() == -9);
    CHECK_FALSE(status.exit_code().has_value());
    CHECK(to_string(status) == "died with SIGKILL (9)");
  }

  TEST_CASE("exit_status: a core dump is told") {
    const exit_status status = exit_status::from_signal(11, true);
    CHECK(status.core_dumped());
    CHECK_FALSE(exit_status::from_signal(11).core_dumped());
    CHECK(to_string(status) == "died with SIGSEGV (11), core dumped");
  }

  TEST_CASE("exit_status: unknown is neither success nor a code") {
    const exit_status status;
    CHECK(status.unknown());
    CHECK_FALSE(status.success());
    CHECK_FALSE(status.exited());
    CHECK_FALSE(status.signalled());
    CHECK_FALSE(status.returncode().has_value());
    CHECK(to_string(status) == "status unknown");
  }

  TEST_CASE("exit_status: the whole range of a Windows code fits") {
    const exit_status status = exit_status::from_code(0xC000013A);
    CHECK(status.exit_code() == 3221225786);
    CHECK(exit_status::from_code(259).exited());
    CHECK(to_string(exit_status::from_code(259)) == "exited with 259");
  }

  TEST_CASE("exit_status: equality looks at kind, value and core dump") {
    CHECK(exit_status::from_code(9) == exit_status::from_code(9));
    CHECK(exit_status::from_code(9) != exit_status::from_signal(9));
    CHECK(exit_status::from_signal(9) != exit_status::from_signal(9, true));
    CHECK(exit_status() != exit_status::from_code(0));
  }

  TEST_CASE("exit_status: an unknown signal is called that") {
    CHECK(to_string(exit_status::from_signal(9876543)) == "died with unknown signal 9876543");
  }

  TEST_CASE("exit_status: a stream shows the text") {
    std::ostringstream text;
    text << exit_status::from_code(0);
    CHECK(text.str() == "exited with 0");
  }
}

} // namespace
