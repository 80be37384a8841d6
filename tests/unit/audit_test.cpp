#include <subproc/audit.hpp>

#include <subproc/error.hpp>

#include "../printing.hpp"

#include <stdexcept>
#include <string>
#include <system_error>

namespace {

using namespace subproc;
using namespace std::chrono_literals;

std::string spawn_line(const command& cmd) { return trace_line({audit_kind::spawn, cmd}); }

TEST_SUITE("audit") {
  TEST_CASE("audit: events have Python's names where Python has them [C72]") {
    CHECK(std::string(to_string(audit_kind::spawn)) == "subprocess.Popen");
    CHECK(std::string(to_string(audit_kind::hook_added)) == "sys.addaudithook");
    CHECK(std::string(to_string(audit_kind::exited)) == "subproc.exited");
  }

  TEST_CASE("audit: the executable is the one that was named, else the first argument [C72]") {
    const command plain("ls", "-l");
    const command other = command("ls").executable("/bin/rm");
    const command none;
    CHECK(audit_event{audit_kind::spawn, plain}.executable() == "ls");
    CHECK(audit_event{audit_kind::spawn, other}.executable() == "/bin/rm");
    CHECK(audit_event{audit_kind::hook_added, none}.executable().empty());
  }

  TEST_CASE("audit: an empty hook is refused") {
    CHECK_THROWS_AS(add_audit_hook({}), system_error);
  }

  TEST_CASE("trace_line: each event is a line that begins with the command [A63]") {
    const command cmd("git", "log", "-1", "--format=%h %s");
    const std::string begin = "$ git log -1 '--format=%h %s'";
    CHECK(trace_line({audit_kind::spawn, cmd}) == begin);
    audit_event event{audit_kind::started, cmd, 1, 77};
    CHECK(trace_line(event) == begin + ": started as 77");
    event.kind = audit_kind::dropped_alive;
    CHECK(trace_line(event) == begin + ": dropped, 77 still runs");
    event.kind = audit_kind::exited;
    event.status = exit_status::from_code(0);
    event.elapsed = 123456us;
    CHECK(trace_line(event) == begin + ": exited with 0 after 0.12 s");
    event.status = exit_status::from_signal(9);
    event.elapsed = 3600s;
    CHECK(trace_line(event) == begin + ": died with SIGKILL (9) after 3600.00 s");
    event.elapsed = -1s;
    event.status = {};
    CHECK(trace_line(event) == begin + ": status unknown after 0.00 s");
    event.kind = audit_kind::failed;
    CHECK(trace_line(event) == begin + ": not started");
    const std::runtime_error error("no\x1b[2J luck");
    event.error = &error;
    CHECK(trace_line(event) == begin + ": no\\033[2J luck");
    CHECK(trace_line({audit_kind::hook_added, command()}) == "audit hook added");
  }

  TEST_CASE("trace_line: what is no control character stays as quote() has it [A63]") {
    CHECK(spawn_line({"it's", "", "a\\b"}) == R"($ 'it'"'"'s' '' 'a\b')");
    CHECK(spawn_line({"gr\xC3\xBC\xC3\x9F", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"}) ==
          "$ 'gr\xC3\xBC\xC3\x9F' '\xE2\x82\xAC' '\xF0\x9F\x98\x80'");
  }

  TEST_CASE("trace_line: no argument can send a terminal anything but text [A63]") {
    CHECK(spawn_line({"\x1b]0;owned\x07"}) == R"($ $'\033]0;owned\007')");
    CHECK(spawn_line({"a\nb\tc\rd\x7f"}) == R"($ $'a\nb\tc\rd\177')");
    CHECK(spawn_line({"it's \\ \n"}) == R"($ $'it\'s \\ \n')");
    CHECK(spawn_line({std::string("a\0b", 3)}) == R"($ $'a\000b')");
    CHECK(spawn_line({"\xC2\x9B", "\x9B"}) == R"($ $'\302\233' $'\233')"); // CSI of C1
    CHECK(spawn_line({"\xE2\x80\xAE", "\xE2\x80\xA8"}) ==                  // turns text round
          R"($ $'\342\200\256' $'\342\200\250')");                         // ends a line
    CHECK(spawn_line({"\xC0\x9B", "\xE0\x80\x9B", "\xED\xA0\x80", "\xE2\x82"}) == // no UTF-8
          R"($ $'\300\233' $'\340\200\233' $'\355\240\200' $'\342\202')");
    for (int value = 1; value < 256; ++value) {
      const std::string line = spawn_line({std::string("x") + static_cast<char>(value)});
      for (const char byte : line) {
        CHECK_MESSAGE((byte >= 0x20 && byte < 0x7F), "for byte ", value);
      }
    }
  }

  TEST_CASE("command: verbose is set, read back and compared [A63]") {
    command cmd("a");
    CHECK_FALSE(cmd.is_verbose());
    CHECK(cmd.verbose().is_verbose());
    CHECK(cmd == command("a").verbose());
    CHECK(cmd != command("a"));
    CHECK_FALSE(cmd.verbose(false).is_verbose());
  }
} // TEST_SUITE

} // namespace
