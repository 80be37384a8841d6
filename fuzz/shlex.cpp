// split, join and quote: words survive the way to a text and back, and a text that is refused is
// refused for the reason that is given.

#include "fuzz.hpp"

#include <subproc/quote.hpp>

#include <algorithm>
#include <system_error>

namespace {

using namespace subproc;
using fuzz::choices;
using strings = std::vector<std::string>;

constexpr std::string_view plain =
    "%+,-./0123456789:=@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

enum class answer { words, no_closing_quotation, no_escaped_character };

answer try_split(const std::string& text, split_comments comments, strings& words) {
  try {
    words = split(text, comments);
    return answer::words;
  } catch (const std::system_error& error) {
    HOLDS(error.code() == std::errc::invalid_argument);
    const std::string_view why = error.what();
    if (why.starts_with("No closing quotation: ")) {
      return answer::no_closing_quotation;
    }
    HOLDS(why.starts_with("No escaped character: "));
    return answer::no_escaped_character;
  }
}

void spell(std::string& text, const std::string& bytes, std::size_t how) {
  const char* const quotes[] = {"\"", "'", ""};
  if (bytes.empty() || bytes.find('\'') != std::string::npos) {
    how = 0;
  }
  text += quotes[how];
  for (const char byte : bytes) {
    if (how == 2 || (how == 0 && (byte == '"' || byte == '\\'))) {
      text += '\\';
    }
    text += byte;
  }
  text += quotes[how];
}

void words_to_text(const strings& words) {
  HOLDS(split(join(words)) == words);
  HOLDS(split(join(words), split_comments::yes) == words);
  for (const std::string& word : words) {
    const std::string quoted = quote(word);
    HOLDS(split(quoted) == strings{word});
    HOLDS((quoted == word) == (!word.empty() && word.find_first_not_of(plain) == word.npos));
  }
}

// Words in any spelling, with any space and comments between them.
void spelled_words(choices& given) {
  strings words;
  std::string text;
  while (!given.empty()) {
    std::string& word = words.emplace_back();
    const std::size_t parts = given.below(4);
    for (std::size_t part = 0; part < std::max<std::size_t>(parts, 1); ++part) {
      const std::string bytes = parts == 0 ? "" : given.bytes(1 + given.below(4));
      word += bytes;
      spell(text, bytes, given.below(3));
    }
    switch (given.below(4)) {
    case 0:
      text += "#'\"\\\n";
      break;
    case 1:
      text += " \t# x\n";
      break;
    default:
      text += " \t\r\n"[given.below(4)];
    }
  }
  HOLDS(split(text, split_comments::yes) == words);
}

void text_to_words(const std::string& text, split_comments comments) {
  strings words;
  strings other;
  switch (try_split(text, comments, words)) {
  case answer::words:
    if (text.find('\0') == std::string::npos) {
      words_to_text(words);
    }
    for (const std::string& word : words) {
      HOLDS(word.size() <= text.size());
    }
    break;
  case answer::no_closing_quotation: {
    const bool one = try_split(text + '\'', comments, other) == answer::words;
    HOLDS(one != (try_split(text + '"', comments, other) == answer::words));
    break;
  }
  case answer::no_escaped_character:
    HOLDS(text.ends_with('\\'));
    HOLDS(try_split(text + 'x', comments, other) != answer::no_escaped_character);
  }
  if (text.find('#') == std::string::npos) {
    const answer same = try_split(text, split_comments::no, other);
    HOLDS(same == try_split(text, split_comments::yes, words));
    HOLDS(same != answer::words || words == other);
  }
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  choices given(data, size);
  switch (given.below(4)) {
  case 0:
    words_to_text(given.fields('\0'));
    break;
  case 1:
    text_to_words(given.rest(), split_comments::no);
    break;
  case 2:
    text_to_words(given.rest(), split_comments::yes);
    break;
  default:
    spelled_words(given);
  }
  return 0;
}
