#include <batch.hpp>

#include "../printing.hpp"

namespace {

using subproc::detail::is_batch_file;
using subproc::detail::unsafe_for_batch;

TEST_SUITE("batch") {
  TEST_CASE("batch: files are told by their ending, whatever Windows ignores after it [T53]") {
    for (const char* name : {"a.bat", "a.cmd", "A.BAT", "a.Cmd", ".bat", "a.bat.", "a.bat ",
                             "a.bat. . ", "C:\\dir.d\\a b.bAt...", "a.exe.cmd"}) {
      CAPTURE(name);
      CHECK(is_batch_file(name));
    }
    for (const char* name : {"", ".", " ", "bat", "cmd", "a.batx", "a.bat.exe", "a.bat\\x", "a.ba",
                             "a.exe", "acmd", "a.com"}) {
      CAPTURE(name);
      CHECK_FALSE(is_batch_file(name));
    }
  }

  TEST_CASE("batch: an argument that cmd.exe could take for more than one is not safe [T53]") {
    for (const char byte : std::string("\"%!^&<>()|\r\n")) {
      for (const std::string& text : {std::string(), std::string("a b"), std::string("\xc3\xa4")}) {
        CAPTURE(text);
        CHECK(unsafe_for_batch(text + byte) == std::string(1, byte));
        CHECK(unsafe_for_batch(byte + text) == std::string(1, byte));
        CHECK(unsafe_for_batch(text + byte + text) == std::string(1, byte));
      }
    }
    CHECK(unsafe_for_batch("a\\") == "\\");
    CHECK(unsafe_for_batch("\\\\") == "\\");
    for (const char* text : {"", "a", "a b", "a\\b", "C:\\dir\\x y.txt", "-x=1,2;3", "'",
                             "\xe2\x82\xac", "*?", "$@#~`[]{}+", "\t"}) {
      CAPTURE(text);
      CHECK(unsafe_for_batch(text).empty());
    }
  }
}

} // namespace
