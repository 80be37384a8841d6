#include <subproc/quote.hpp>

#include <subproc/detail/asio.hpp>

#include <algorithm>
#include <cstddef>
#include <system_error>

namespace SUBPROC_NAMESPACE {
namespace {

[[noreturn]] void refuse(const char* why) {
  throw system_error(detail::generic_error(std::errc::invalid_argument), why);
}

// isalnum(3) would ask the locale.
bool is_plain(char byte) {
  return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
         (byte >= '0' && byte <= '9') ||
         std::string_view("_@%+=:,./-").find(byte) != std::string_view::npos;
}

void append_quoted(std::string& text, std::string_view word) {
  if (word.find('\0') != std::string_view::npos) {
    refuse("quote: a shell word cannot hold a NUL byte");
  }
  if (!word.empty() && std::ranges::all_of(word, is_plain)) {
    text += word;
    return;
  }
  text += '\'';
  for (const char byte : word) {
    if (byte == '\'') {
      text += "'\"'\"'";
    } else {
      text += byte;
    }
  }
  text += '\'';
}

// Takes a text apart from its front.
class splitter {
public:
  splitter(std::string_view text, split_comments comments)
      : rest_(text), ends_word_(comments == split_comments::yes ? " \t\r\n#" : " \t\r\n") {}

  bool skip_to_word() {
    for (;;) {
      skip(rest_.find_first_not_of(" \t\r\n"));
      if (rest_.empty() || ends_word_.find(rest_.front()) == std::string_view::npos) {
        return !rest_.empty();
      }
      skip(rest_.find('\n'));
    }
  }

  std::string word() {
    std::string word;
    for (;;) {
      word += take_until(ends_word_, "'\"\\");
      if (rest_.empty() || ends_word_.find(rest_.front()) != std::string_view::npos) {
        return word;
      }
      switch (next()) {
      case '\'':
        word += take_until("'");
        close_quotes();
        break;
      case '"':
        append_double_quoted(word);
        break;
      default:
        word += escaped();
      }
    }
  }

private:
  void skip(std::size_t count) { rest_.remove_prefix(std::min(count, rest_.size())); }

  char next() {
    const char byte = rest_.front();
    skip(1);
    return byte;
  }

  std::string_view take_until(std::string_view these, std::string_view or_these = {}) {
    const std::size_t count = std::min(rest_.find_first_of(these), rest_.find_first_of(or_these));
    const std::string_view taken = rest_.substr(0, count);
    skip(count);
    return taken;
  }

  void close_quotes() {
    if (rest_.empty()) {
      refuse("No closing quotation");
    }
    skip(1);
  }

  char escaped() {
    if (rest_.empty()) {
      refuse("No escaped character");
    }
    return next();
  }

  void append_double_quoted(std::string& word) {
    for (;;) {
      word += take_until("\"\\");
      if (!rest_.starts_with('\\')) {
        close_quotes();
        return;
      }
      skip(1);
      const char byte = escaped();
      if (byte != '"' && byte != '\\') {
        word += '\\';
      }
      word += byte;
    }
  }

  std::string_view rest_;
  std::string_view ends_word_;
};

// Backslashes are literal, but where a double quote follows them; so two stand for one there.
void append_argument(std::string& line, std::string_view arg) {
  if (arg.find('\0') != std::string_view::npos) {
    refuse("list2cmdline: an argument cannot hold a NUL byte");
  }
  const bool quoted = arg.empty() || arg.find_first_of(" \t") != std::string_view::npos;
  if (quoted) {
    line += '"';
  }
  std::size_t backslashes = 0;
  for (const char byte : arg) {
    if (byte == '"') {
      line.append(backslashes + 1, '\\');
    }
    line += byte;
    backslashes = byte == '\\' ? backslashes + 1 : 0;
  }
  if (quoted) {
    line.append(backslashes, '\\');
    line += '"';
  }
}

template <class Append>
std::string joined(std::span<const std::string> words, Append append) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) { // no word is appended as nothing
      text += ' ';
    }
    append(text, word);
  }
  return text;
}

} // namespace

std::string quote(std::string_view word) {
  std::string text;
  append_quoted(text, word);
  return text;
}

std::string join(std::span<const std::string> words) { return joined(words, append_quoted); }

std::vector<std::string> split(std::string_view text, split_comments comments) {
  std::vector<std::string> words;
  for (splitter rest(text, comments); rest.skip_to_word();) {
    words.push_back(rest.word());
  }
  return words;
}

std::string list2cmdline(std::span<const std::string> args) {
  return joined(args, append_argument);
}

} // namespace subproc
