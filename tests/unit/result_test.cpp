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

  TEST_CASE("result: the text in order is that of the pieces, then what they leave") {
    communicate_result result;
    result.out = "ab\ncd\ne";
    result.err = "12\n34";
    CHECK(result.ordered_text() == "ab\ncd\ne12\n34");
    using enum output_stream;
    result.pieces = {{out, 0, 1, {}}, {err, 0, 4, {}}, {out, 1, 4, {}}, {err, 4, 1, {}}};
    CHECK(result.ordered_text() == "a12\n3b\ncd4\ne");
  }

  TEST_CASE("result: lines are whole, where their ends were seen, behind their stream's tag") {
    completed_process result;
    result.out = "ab\ncd\ne";
    result.err = "12\n34";
    using enum output_stream;
    result.pieces = {{out, 0, 1, {}}, {err, 0, 4, {}}, {out, 1, 4, {}}, {err, 4, 1, {}}};
    CHECK(result.ordered_text("o:", "e:") == "e:12\no:ab\no:cd\no:e\ne:34\n");
    CHECK(completed_process().ordered_text("o:", "e:").empty());
  }

  TEST_CASE("result: pieces of a text that was cut do no harm") {
    communicate_result result;
    result.out = "abc";
    result.pieces = {{output_stream::out, 0, 2, {}},
                     {output_stream::err, 7, 3, {}},
                     {output_stream::out, 2, 9, {}}};
    CHECK(result.ordered_text() == "abc");
    CHECK(result.ordered_text("o:", "e:") == "o:abc\n");
  }
}

} // namespace
