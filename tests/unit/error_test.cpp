#include <subproc/error.hpp>

#include <subproc/result.hpp>

#include "../plain_text.hpp"
#include "../platform.hpp"
#include "../printing.hpp"

#include <cerrno>
#include <limits>
#include <set>
#include <type_traits>

namespace {

using namespace subproc;
using test::excused_without;
using test::feature;

constexpr errc all_codes[] = {errc::no_child,     errc::operation_pending, errc::already_taken,
                              errc::output_limit, errc::not_stopped,       errc::bad_report,
                              errc::inactive};

static_assert(std::is_error_code_enum_v<errc>);
static_assert(!std::is_base_of_v<subprocess_error, spawn_error>);
static_assert(std::is_base_of_v<system_error, spawn_error>);
static_assert(std::is_nothrow_copy_constructible_v<spawn_error>);
static_assert(std::is_nothrow_copy_constructible_v<timeout_expired>);

error_code system_error_code(std::errc value) {
  return error_code(static_cast<int>(value), detail::system_category());
}

completed_process finished(command cmd, exit_status status) {
  completed_process result;
  result.cmd = std::move(cmd);
  result.status = status;
  result.out = std::string(1000, 'x');
  return result;
}

std::string failure_text(exit_status status) {
  return called_process_error(finished(command("cmd", "a b"), status)).what();
}

std::string timeout_text(double seconds) {
  return timeout_expired(finished(command("sleep", "60"), exit_status()), seconds).what();
}

TEST_SUITE("error") {
  TEST_CASE("error: codes count from 1 and are never success") {
    CHECK(static_cast<int>(errc::no_child) == 1);
    for (const errc code : all_codes) {
      const error_code ec = code;
      CHECK(ec);
      CHECK(ec == code);
      CHECK(std::string(ec.category().name()) == "subproc");
    }
  }

  TEST_CASE("error: each code says what happened and what to do") {
    std::set<std::string> messages;
    for (const errc code : all_codes) {
      const std::string message = make_error_code(code).message();
      CAPTURE(message);
      CHECK(message.size() > 40);
      CHECK(messages.insert(message).second);
    }
    CHECK(error_category().message(99) == "Unknown subproc error 99");
  }

  TEST_CASE("error: codes equal the std::errc that fits") {
    CHECK(make_error_code(errc::no_child) == std::errc::no_child_process);
    CHECK(make_error_code(errc::operation_pending) == std::errc::operation_in_progress);
    CHECK(make_error_code(errc::output_limit) == std::errc::no_buffer_space);
    CHECK(make_error_code(errc::not_stopped) == std::errc::device_or_resource_busy);
    CHECK(make_error_code(errc::bad_report) == std::errc::protocol_error);
    CHECK(make_error_code(errc::inactive) == std::errc::timed_out);
    CHECK(make_error_code(errc::already_taken).default_error_condition().category() ==
          error_category());
    CHECK(make_error_code(errc::no_child) != make_error_code(errc::already_taken));
  }

  TEST_CASE("error: codes and exceptions are the loop's, and compare with the standard's") {
    static_assert(std::is_base_of_v<std::runtime_error, system_error>);
    static_assert(std::is_same_v<std::remove_cvref_t<decltype(std::declval<spawn_error>().code())>,
                                 error_code>);
    const error_code of_asio = subproc::asio::error::timed_out;
    CHECK(of_asio == subproc::asio::error::timed_out);
    const spawn_error missing(system_error_code(std::errc::no_such_file_or_directory),
                              spawn_step::exec, "/no/such");
    CHECK(missing.code() == std::errc::no_such_file_or_directory);
    CHECK(missing.code().value() == ENOENT);
    CHECK(detail::generic_error(std::errc::invalid_argument) == std::errc::invalid_argument);
    // In the standard's terms, whatever the loop's are.
    const std::error_code standard = make_error_code(errc::no_child);
    CHECK(standard == std::errc::no_child_process);
    CHECK(standard.message() == make_error_code(errc::no_child).message());
    try {
      throw missing;
    } catch (const system_error& error) {
      CHECK(error.code() == missing.code());
    }
  }

  TEST_CASE("error: each spawn step has a name of its own") {
    std::set<std::string> names;
    for (int i = 0; i <= static_cast<int>(spawn_step::exec); ++i) {
      CHECK(names.insert(to_string(static_cast<spawn_step>(i))).second);
    }
    CHECK(std::string(to_string(spawn_step::setgroups)) == "setgroups");
    std::ostringstream printed;
    printed << spawn_step::exec;
    CHECK(printed.str() == "exec");
  }

  TEST_CASE("error: a spawn_error names program, step and reason") {
    if (excused_without(feature::posix_errors, "the words are the system's own")) {
      return;
    }
    const spawn_error error(system_error_code(std::errc::no_such_file_or_directory),
                            spawn_step::exec, "prog");
    CHECK(test::plain_text(error.what()) == "cannot start 'prog': exec: No such file or directory");
    CHECK(error.code() == std::errc::no_such_file_or_directory);
    CHECK(error.step() == spawn_step::exec);
    CHECK(error.path() == "prog");
  }

  TEST_CASE("error: a spawn_error names what another step concerned") {
    if (excused_without(feature::posix_errors, "the words are the system's own")) {
      return;
    }
    const error_code missing = system_error_code(std::errc::no_such_file_or_directory);
    CHECK(test::plain_text(spawn_error(missing, spawn_step::chdir, "/no where").what()) ==
          "cannot start a child: chdir '/no where': No such file or directory");
    CHECK(test::plain_text(spawn_error(system_error_code(std::errc::resource_unavailable_try_again),
                                       spawn_step::fork, {})
                               .what()) ==
          "cannot start a child: fork: Resource temporarily unavailable");
    CHECK(test::plain_text(spawn_error(system_error_code(std::errc::invalid_argument),
                                       spawn_step::arguments, "umask", "-1 is wrong")
                               .what()) ==
          "cannot start a child: umask: -1 is wrong: Invalid argument");
    CHECK(test::plain_text(spawn_error(system_error_code(std::errc::operation_not_permitted),
                                       spawn_step::limits, "limits.nofile")
                               .what()) ==
          "cannot start a child: limits.nofile: Operation not permitted");
  }

  TEST_CASE("error: a spawn_error equals its std::errc, whoever made the code") {
    const error_code by_loop(ENOENT, asio::error::get_system_category());
    const spawn_error error(by_loop, spawn_step::exec, "prog");
    CHECK(error.code() == std::errc::no_such_file_or_directory);
    CHECK(error.code().value() == ENOENT);
    CHECK(spawn_error(errc::bad_report, spawn_step::fork, {}).code() == errc::bad_report);
  }

  TEST_CASE("error: control bytes and great length do not spoil the text") {
    const error_code ec = system_error_code(std::errc::filename_too_long);
    const spawn_error odd(ec, spawn_step::exec, std::string("a\0\n\t\x1b\x7f", 6));
    CHECK(std::string(odd.what()).starts_with("cannot start 'a\\0\\n\\t\\x1b\\x7f': exec: "));
    const spawn_error large(ec, spawn_step::exec, std::string(5000, 'n'));
    CHECK(std::string(large.what()).size() < 300);
    CHECK(large.path().size() == 5000);
  }

  TEST_CASE("error: a long name is cut between characters") {
    for (std::size_t before = 190; before < 205; ++before) {
      const std::string name = std::string(before, 'n') + "\xf0\x9f\x98\x80" + std::string(50, 'm');
      const std::string text =
          spawn_error(system_error_code(std::errc::io_error), spawn_step::exec, name).what();
      CAPTURE(text);
      const bool whole = text.find("\xf0\x9f\x98\x80") != std::string::npos;
      const bool none = text.find('\xf0') == std::string::npos;
      CHECK((whole || none));
      CHECK(text.find("'...: exec") != std::string::npos);
    }
  }

  TEST_CASE("error: called_process_error tells how the command ended [K81]") {
    CHECK(failure_text(exit_status::from_code(2)) ==
          "Command 'cmd 'a b'' returned non-zero exit status 2.");
    CHECK(failure_text(exit_status::from_signal(9)) ==
          "Command 'cmd 'a b'' died with SIGKILL (9).");
    CHECK(failure_text(exit_status::from_signal(11, true)) ==
          "Command 'cmd 'a b'' died with SIGSEGV (11), core dumped.");
    CHECK(failure_text(exit_status::from_signal(9876543)) ==
          "Command 'cmd 'a b'' died with unknown signal 9876543.");
    CHECK(failure_text(exit_status::from_code(0)) ==
          "Command 'cmd 'a b'' returned exit status 0, which its ok_codes() do not accept.");
    CHECK(failure_text(exit_status()).find("unknown") != std::string::npos);
  }

  TEST_CASE("error: timeout_expired gives the caller's time in plain figures") {
    CHECK(timeout_text(0.05) == "Command 'sleep 60' timed out after 0.05 seconds.");
    CHECK(timeout_text(60) == "Command 'sleep 60' timed out after 60 seconds.");
    CHECK(timeout_text(0.0001).find(" 0.0001 ") != std::string::npos);
    CHECK(timeout_text(-1).find(" -1 ") != std::string::npos);
    CHECK(timeout_text(1e300).find("e+") == std::string::npos);
    CHECK(timeout_text(std::numeric_limits<double>::denorm_min()).size() > 300);
    CHECK(timeout_expired(completed_process(), 2.5).timeout() == 2.5);
    completed_process silent;
    silent.cmd = command("sleep", "60");
    silent.inactive = true;
    CHECK(std::string(timeout_expired(silent, 0.5).what()) ==
          "Command 'sleep 60' gave no output for 0.5 seconds.");
  }

  TEST_CASE("error: operation_error carries the code and its words") {
    const operation_error error(errc::output_limit, finished("yes", exit_status::from_signal(9)));
    CHECK(error.code() == errc::output_limit);
    CHECK(std::string(error.what()).starts_with("Command 'yes' failed: The child wrote more"));
    // Asio's words end with a full stop of their own.
    const operation_error cancelled(asio::error::operation_aborted, finished("yes", {}));
    const std::string words = cancelled.what();
    CHECK(words.starts_with("Command 'yes' failed: "));
    CHECK(words.ends_with("ed."));
  }

  TEST_CASE("error: the result arrives whole, also in copies and by the base") {
    try {
      throw timeout_expired(finished("yes", exit_status::from_signal(9)), 1);
    } catch (const subprocess_error& error) {
      const subprocess_error copy = error;
      CHECK(copy.result().out.size() == 1000);
      CHECK(copy.result().status == exit_status::from_signal(9));
      CHECK(std::string(copy.what()) == "Command 'yes' timed out after 1 seconds.");
    }
  }
}

} // namespace
