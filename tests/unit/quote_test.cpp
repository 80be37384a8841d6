#include <subproc/quote.hpp>

#include <subproc/error.hpp>

#include "../printing.hpp"

#include <random>
#include <string>
#include <system_error>
#include <vector>

namespace {

using namespace std::string_literals;
using strings = std::vector<std::string>;
using subproc::join;
using subproc::list2cmdline;
using subproc::quote;
using subproc::split;
using subproc::split_comments;

// Bytes that mean something to somebody, and any others.
std::string random_bytes(std::mt19937& random, std::size_t most) {
  const std::string special = " \t\r\n\v'\"\\#$`=~ab";
  const auto below = [&](std::size_t n) { return random() % n; };
  std::string text(below(most + 1), '\0');
  for (char& byte : text) {
    byte = below(3) == 0 ? static_cast<char>(1 + below(255)) : special[below(special.size())];
  }
  return text;
}

// What is refused; empty when nothing is.
template <class Call>
std::string refused(Call call) {
  try {
    call();
  } catch (const subproc::system_error& error) {
    CHECK(error.code() == std::errc::invalid_argument);
    const std::string text = error.what();
    return text.substr(0, text.rfind(": "));
  }
  return {};
}

TEST_SUITE("quote") {
  TEST_CASE("quote: an empty word is two quotes [K152]") { CHECK(quote("") == "''"); }

  TEST_CASE("quote: plain bytes stay as they are [K152]") {
    const std::string plain =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-";
    CHECK(quote(plain) == plain);
  }

  TEST_CASE("quote: any other byte puts the word in single quotes [K152]") {
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

  TEST_CASE("quote: a single quote leaves the quotes for a moment [K152]") {
    CHECK(quote("'") == "''\"'\"''");
    CHECK(quote("it's") == "'it'\"'\"'s'");
  }

  TEST_CASE("quote: shell characters, newlines and UTF-8 are quoted [K152]") {
    CHECK(quote("~") == "'~'");
    CHECK(quote("$HOME `id` \"x\" \\") == "'$HOME `id` \"x\" \\'");
    CHECK(quote("a\nb") == "'a\nb'");
    CHECK(quote("\xc3\xa9") == "'\xc3\xa9'");
  }

  TEST_CASE("quote: a NUL byte is refused") {
    CHECK(refused([] { quote("a\0b"s); }) == "quote: a shell word cannot hold a NUL byte");
    CHECK_FALSE(refused([] { join(strings{"a", "\0"s}); }).empty());
  }

  TEST_CASE("join: quoted words with one space between") {
    CHECK(join(strings{"echo", "a b", "", "c"}) == "echo 'a b' '' c");
    CHECK(join(strings{""}) == "''");
    CHECK(join(strings{}).empty());
  }

  // What Python 3.11 answers, here and below.
  TEST_CASE("split: the words that Python's shlex gives [K154]") {
    const struct {
      std::string text;
      strings words;
    } rows[] = {
        {"", {}},
        {" \t\r\n", {}},
        {"a b", {"a", "b"}},
        {"  a\tb\r\nc  ", {"a", "b", "c"}},
        {"a\vb\fc", {"a\vb\fc"}},
        {"'a b'c\"d e\"f", {"a bcd ef"}},
        {"''", {""}},
        {"a '' \"\"", {"a", "", ""}},
        {"'\\a\"b'", {"\\a\"b"}},
        {"\"\\$ \\\" \\\\ \\n\"", {"\\$ \" \\ \\n"}},
        {"\"a\\\nb\"", {"a\\\nb"}},
        {"a\\ b \\'", {"a b", "'"}},
        {"a\\\nb", {"a\nb"}},
        {"$HOME `x` * ; | & < >", {"$HOME", "`x`", "*", ";", "|", "&", "<", ">"}},
        {"c#d e", {"c#d", "e"}},
        {"\xff \x80", {"\xff", "\x80"}},
        {"a\0b"s, {"a\0b"s}},
    };
    for (const auto& row : rows) {
      CAPTURE(row.text);
      CHECK(split(row.text) == row.words);
    }
  }

  TEST_CASE("split: a comment, where comments are asked for, ends the line [K154]") {
    const struct {
      std::string text;
      strings words;
    } rows[] = {
        {"c#d e", {"c"}},
        {"#", {}},
        {"#'", {}},
        {"# all\nb # c\nd", {"b", "d"}},
        {"a\\#b '#' \"#\"", {"a#b", "#", "#"}},
        {"a#b\r c\nd", {"a", "d"}},
        {"''# x", {""}},
    };
    for (const auto& row : rows) {
      CAPTURE(row.text);
      CHECK(split(row.text, split_comments::yes) == row.words);
    }
  }

  TEST_CASE("split: what is not closed or not escaped is refused in Python's words [K154]") {
    for (const char* text : {"'a", "\"a", "\"a\\\"", "b '", "#'"}) {
      CAPTURE(text);
      CHECK(refused([&] { split(text); }) == "No closing quotation");
    }
    for (const char* text : {"a\\", "\"a\\", "\\"}) {
      CAPTURE(text);
      CHECK(refused([&] { split(text); }) == "No escaped character");
    }
  }

  TEST_CASE("split: joined words come apart again, whatever their bytes [K153]") {
    std::mt19937 random(1);
    for (int round = 0; round < 2'000; ++round) {
      strings words(random() % 5);
      for (std::string& word : words) {
        word = random_bytes(random, 20);
      }
      REQUIRE(split(join(words)) == words);
      REQUIRE(split(join(words), split_comments::yes) == words);
    }
  }

  TEST_CASE("list2cmdline: the lines that Python gives [K49] [K50] [K51]") {
    const struct {
      strings args;
      std::string line;
    } rows[] = {
        {{"a b c", "d"}, R"("a b c" d)"},
        {{"ab", ""}, R"(ab "")"},
        {{R"(a\\\b)", "de fg"}, R"(a\\\b "de fg")"},
        {{R"(ab"c)", R"(\)", "d"}, R"(ab\"c \ d)"},
        {{R"(ab"c)", R"( \)", "d"}, R"(ab\"c " \\" d)"},
        {{R"(a\"b)"}, R"(a\\\"b)"},
        {{R"(a\\b c)"}, R"("a\\b c")"},
        {{R"(a\\b\ c)"}, R"("a\\b\ c")"},
        {{"a\nb", "&", "%x%", "it's"}, "a\nb & %x% it's"},
        {{}, ""},
        {{""}, R"("")"},
        {{"", ""}, R"("" "")"},
        {{"a\tb"}, "\"a\tb\""},
        {{"a\\"}, "a\\"},
        {{R"(a b\\)"}, R"("a b\\\\")"},
        {{R"(\\")"}, R"(\\\\\")"},
        {{R"(a b")"}, R"("a b\"")"},
        {{"\xc3\xa9"}, "\xc3\xa9"},
    };
    for (const auto& row : rows) {
      CAPTURE(row.line);
      CHECK(list2cmdline(row.args) == row.line);
    }
  }

  TEST_CASE("list2cmdline: a NUL byte is refused") {
    CHECK(refused([] {
            list2cmdline(strings{"a", "b\0"s});
          }) == "list2cmdline: an argument cannot hold a NUL byte");
  }
}

} // namespace
