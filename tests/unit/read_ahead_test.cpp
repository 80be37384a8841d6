#include <read_ahead.hpp>

#include "../support.hpp"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace subproc;
using detail::read_ahead;
using detail::text_kind;
using detail::text_request;

constexpr std::size_t no_limit = static_cast<std::size_t>(-1);

// The next text; the error, when there is one, in angle brackets.
std::optional<std::string> next(read_ahead& held, const text_request& wanted, bool ended = false) {
  const auto found = held.find(wanted, ended);
  if (!found) {
    return std::nullopt;
  }
  if (found->ec) {
    return found->ec == asio::error::eof ? "<eof>" : "<too long>";
  }
  std::string text;
  held.take(*found, text);
  return found->goes_on ? text + "<goes on>" : text;
}

// All lines of a text that arrives in such parts.
std::vector<std::string> lines_of(const std::string& text, std::size_t part, text_request wanted) {
  read_ahead held;
  std::vector<std::string> lines;
  // False when that is all there will be.
  const auto take_all = [&](bool ended) {
    while (const auto line = next(held, wanted, ended)) {
      lines.push_back(*line);
      if (*line == "<eof>" || *line == "<too long>") {
        return false;
      }
    }
    return true;
  };
  for (std::size_t at = 0; at < text.size(); at += part) {
    held.append(std::string_view(text).substr(at, part));
    CHECK((wanted.limit == no_limit || held.size() <= wanted.limit + 1 + part));
    if (!take_all(false)) {
      return lines;
    }
  }
  take_all(true);
  return lines;
}

// The same in another way: the whole text at once, without a limit.
std::vector<std::string> reference(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const bool both = end > begin && text[end - 1] == '\r';
    lines.push_back(text.substr(begin, end - begin - (both ? 1 : 0)));
  }
  if (begin < text.size()) {
    lines.push_back(text.substr(begin));
  }
  lines.push_back("<eof>");
  return lines;
}

TEST_SUITE("read_ahead") {
  TEST_CASE("read_ahead: a line ends with a newline, with or without a return [T43]") {
    const std::string text = "1\r\n2\r3\n4";
    for (std::size_t part = 1; part <= text.size(); ++part) {
      CHECK(lines_of(text, part, {}) == std::vector<std::string>{"1", "2\r3", "4", "<eof>"});
    }
    CHECK(lines_of("", 1, {}) == std::vector<std::string>{"<eof>"});
    CHECK(lines_of("\n\r\n\n", 2, {}) == std::vector<std::string>{"", "", "", "<eof>"});
    CHECK(lines_of("a\r\r\nb\r", 1, {}) == std::vector<std::string>{"a\r", "b\r", "<eof>"});
  }

  TEST_CASE("read_ahead: any bytes in any parts are the same lines [T43]") {
    std::mt19937 random(43);
    const std::string alphabet("\n\n\r\r\0\xff\xc3"
                               "ab",
                               9);
    for (int round = 0; round < test::times(2000); ++round) {
      std::string text(random() % 40, '\0');
      for (char& byte : text) {
        byte = alphabet[random() % alphabet.size()];
      }
      const std::size_t part = 1 + random() % 7;
      CHECK(lines_of(text, part, {text_kind::line, no_limit}) == reference(text));

      // In pieces it is the same too, once they are put together.
      const std::size_t limit = 1 + random() % 5;
      std::vector<std::string> joined;
      std::string line;
      for (const std::string& piece : lines_of(text, part, {text_kind::piece, limit})) {
        const std::size_t more = piece.find("<goes on>");
        CHECK((more == std::string::npos || more == limit));
        CHECK((piece == "<eof>" || more != std::string::npos || piece.size() <= limit));
        CHECK_FALSE((piece.empty() && !line.empty()));
        line += piece.substr(0, more);
        if (more == std::string::npos) {
          joined.push_back(std::exchange(line, {}));
        }
      }
      CHECK(joined == reference(text));
    }
  }

  TEST_CASE("read_ahead: the limit of a line is exact, its end not counted [T42]") {
    for (const char* end : {"\n", "\r\n"}) {
      for (std::size_t part = 1; part <= 6; ++part) {
        CHECK(lines_of("abc" + std::string(end), part, {text_kind::line, 3}).front() == "abc");
        CHECK(lines_of("abcd" + std::string(end), part, {text_kind::line, 3}).front() ==
              "<too long>");
      }
    }
    CHECK(lines_of("abc", 1, {text_kind::line, 3}).front() == "abc");
    CHECK(lines_of("abcd", 1, {text_kind::line, 3}).front() == "<too long>");
    CHECK(lines_of("\n", 1, {text_kind::line, 0}).front() == "");
    CHECK(lines_of("a\n", 1, {text_kind::line, 0}).front() == "<too long>");
  }

  TEST_CASE("read_ahead: what is too long is kept for a larger limit or another way") {
    read_ahead held;
    held.append("abcdef");
    CHECK(next(held, {text_kind::line, 3}) == "<too long>");
    CHECK(next(held, {text_kind::line, 3}) == "<too long>");
    CHECK(next(held, {text_kind::until, 3, ";"}) == "<too long>");
    CHECK(held.view() == "abcdef");
    CHECK(next(held, {text_kind::piece, 3}) == "abc<goes on>");
    CHECK(next(held, {text_kind::line, 3}) == std::nullopt);
    held.append("g\nrest");
    CHECK(next(held, {text_kind::line, 3}) == "<too long>");
    CHECK(next(held, {text_kind::line, 4}) == "defg");
    char byte = 0;
    CHECK(held.take(&byte, 1) == 1);
    CHECK(byte == 'r');
    CHECK(held.view() == "est");
  }

  TEST_CASE("read_ahead: a text goes up to its delimiter and with it") {
    const text_request wanted{text_kind::until, 4, "--"};
    const std::string text = "abcd--e-f----g";
    for (std::size_t part = 1; part <= text.size(); ++part) {
      CHECK(lines_of(text, part, wanted) ==
            std::vector<std::string>{"abcd--", "e-f--", "--", "<eof>"});
    }
    read_ahead held;
    held.append("abcd-");
    CHECK(next(held, wanted) == std::nullopt);
    held.append("e--");
    CHECK(next(held, wanted) == "<too long>");
    CHECK(next(held, {text_kind::until, 6, "--"}) == "abcd-e--");
    held.append("rest");
    CHECK(next(held, wanted, true) == "<eof>"); // nothing is taken
    CHECK(held.view() == "rest");
  }

  TEST_CASE("read_ahead: another delimiter is searched from the start") {
    read_ahead held;
    held.append("a;b");
    CHECK(next(held, {}) == std::nullopt);
    CHECK(next(held, {text_kind::until, 9, ";"}) == "a;");
    CHECK(next(held, {text_kind::until, 9, "bc"}) == std::nullopt);
    held.append("c\n");
    CHECK(next(held, {text_kind::until, 9, "bc"}) == "bc");
    CHECK(next(held, {}) == "");
  }

  TEST_CASE("read_ahead: each byte is searched and moved once, not once a part [T43]") {
    const test::watchdog limit; // done once a part this takes hours
    constexpr int size = test::times(4 << 20);
    read_ahead held;
    for (int i = 0; i < size; ++i) {
      held.append("x");
      REQUIRE_FALSE(held.find({text_kind::line, no_limit}, false));
    }
    char byte = 0;
    for (int i = 0; i < size; ++i) {
      held.append("y");
      held.take(&byte, 1);
      REQUIRE_FALSE(held.find({text_kind::line, no_limit}, false));
    }
    CHECK(held.size() == size);
    held.append("\n");
    CHECK(next(held, {text_kind::line, no_limit})->size() == size);
    held.trim();
    CHECK(held.empty());
  }
}

} // namespace
