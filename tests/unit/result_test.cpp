#include <subproc/result.hpp>

#include <subproc/error.hpp>

#include "../printing.hpp"

#include <set>
#include <sstream>

namespace {

using namespace subproc;

completed_process finished(command cmd, exit_status status) {
  completed_process result;
  result.cmd = std::move(cmd);
  result.status = status;
  return result;
}

TEST_SUITE("result") {
  TEST_CASE("result: each launcher kind has a name of its own") {
    std::set<std::string> names;
    for (const launcher_kind kind :
         {launcher_kind::none, launcher_kind::clone3, launcher_kind::vfork, launcher_kind::fork,
          launcher_kind::custom}) {
      CHECK(names.insert(to_string(kind)).second);
    }
    CHECK(std::string(to_string(launcher_kind::clone3)) == "clone3");
  }

  TEST_CASE("result: check_returncode lets an accepted status pass") {
    CHECK_NOTHROW(finished("true", exit_status::from_code(0)).check_returncode());
    CHECK_NOTHROW(
        finished(command("grep").ok_codes({0, 1}), exit_status::from_code(1)).check_returncode());
  }

  TEST_CASE("result: check_returncode throws the whole result otherwise") {
    completed_process result = finished("false", exit_status::from_code(1));
    result.out = "some output";
    try {
      result.check_returncode();
      FAIL("nothing was thrown");
    } catch (const called_process_error& error) {
      CHECK(error.result().out == "some output");
      CHECK(error.result().status == exit_status::from_code(1));
      CHECK(error.result().args() == std::vector<std::string>{"false"});
    }
    CHECK(result.out == "some output");
  }

  TEST_CASE("result: it prints what was captured and nothing else") {
    completed_process result = finished(command("ls", "a b"), exit_status::from_code(3));
    CHECK(to_string(result) == "completed_process(args=ls 'a b', returncode=3)");
    result.out = "x\n";
    result.out_captured = result.err_captured = true;
    CHECK(to_string(result) ==
          "completed_process(args=ls 'a b', returncode=3, out='x\\n', err='')");
    result.out_captured = false;
    result.status = exit_status::from_signal(9);
    CHECK(to_string(result) == "completed_process(args=ls 'a b', returncode=-9, err='')");
    result.status = {};
    std::ostringstream printed;
    printed << result;
    CHECK(printed.str() == "completed_process(args=ls 'a b', returncode=unknown, err='')");
  }

  TEST_CASE("result: an unknown status is a failure") {
    const completed_process result = finished("x", exit_status());
    CHECK(result.status_unknown());
    CHECK_THROWS_AS(result.check_returncode(), called_process_error);
  }

  TEST_CASE("result: truncated when either stream dropped bytes") {
    completed_process result;
    CHECK_FALSE(result.truncated());
    result.err_dropped = 1;
    CHECK(result.truncated());
    communicate_result piece;
    piece.out_dropped = 1;
    CHECK(piece.truncated());
  }
}

} // namespace
