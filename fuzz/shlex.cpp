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

void words_to_text(const strings& words) {
  HOLDS(split(join(words)) == words);
  HOLDS(split(join(words), split_comments::yes) == words);
  for (const std::string& word : words) {
    const std::string quoted = quote(word);
    HOLDS(split(quoted) == strings{word});
    HOLDS(quoted == word || quoted.find_first_of(" \t\r\n'\"\\$`~#*?;|&<>()!") == 0);
  }
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
  switch (given.below(3)) {
  case 0:
    words_to_text(given.fields('\0'));
    break;
  case 1:
    text_to_words(given.rest(), split_comments::no);
    break;
  default:
    text_to_words(given.rest(), split_comments::yes);
  }
  return 0;
}
