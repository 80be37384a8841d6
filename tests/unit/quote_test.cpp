#include <subproc/quote.hpp>

#include "../printing.hpp"

#include <string>
#include <vector>

namespace {

using subproc::join;
using subproc::quote;

TEST_SUITE("quote") {
  TEST_CASE("quote: an empty word is two quotes") { CHECK(quote("") == "''"); }

  TEST_CASE("quote: plain bytes stay as they are") {
    const std::string plain =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-";
    CHECK(quote(plain) == plain);
  }

  TEST_CASE("quote: any other byte puts the word in single quotes") {
    for (int value = 1; value < 256; ++value) {
      const char byte = static_cast<char>(value);
      const bool alphanumeric = (value >= '0' && value <= '9') || (value >= 'A' && value <= 'Z') ||
                                (value >= 'a' && value <= 'z');
      if (alphanumeric || std::string("_@%+=:,./-'").find(byte) != std::string::npos) {
        continue;
      }
      const std::string word = std::string("a") + byte + "b";
      CAPTURE(value);
      CHECK(quote(word) == "'" + word + "'");
    }
  }

  TEST_CASE("quote: a single quote leaves the quotes for a moment") {
    CHECK(quote("'") == "''\"'\"''");
    CHECK(quote("it's") == "'it'\"'\"'s'");
  }

  TEST_CASE("quote: shell characters, newlines and UTF-8 are quoted") {
    CHECK(quote("~") == "'~'");
    CHECK(quote("$HOME `id` \"x\" \\") == "'$HOME `id` \"x\" \\'");
    CHECK(quote("a\nb") == "'a\nb'");
    CHECK(quote("\xc3\xa9") == "'\xc3\xa9'");
  }

  TEST_CASE("quote: a NUL byte is refused") {
    try {
      quote(std::string_view("a\0b", 3));
      FAIL("nothing was thrown");
    } catch (const std::system_error& error) {
      CHECK(error.code() == std::errc::invalid_argument);
    }
    CHECK_THROWS_AS(join(std::vector<std::string>{"a", std::string(1, '\0')}), std::system_error);
  }

  TEST_CASE("join: quoted words with one space between") {
    CHECK(join(std::vector<std::string>{"echo", "a b", "", "c"}) == "echo 'a b' '' c");
    CHECK(join(std::vector<std::string>{""}) == "''");
    CHECK(join(std::vector<std::string>{}).empty());
  }
}

} // namespace
