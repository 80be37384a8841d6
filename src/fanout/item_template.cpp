#include "item_template.hpp"

#include <subproc/quote.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace fanout {
namespace {

constexpr std::array<std::string_view, 4> of_an_item{"{}", "{.}", "{/}", "{//}"};

std::string_view base_name(std::string_view item) {
  return item.substr(item.find_last_of('/') + 1); // npos + 1 is 0
}

std::string_view folder(std::string_view item) {
  const std::size_t slash = item.find_last_of('/');
  if (slash == item.npos) {
    return ".";
  }
  return slash == 0 ? "/" : item.substr(0, slash);
}

std::string_view without_extension(std::string_view item) {
  const std::size_t dot = base_name(item).find_last_of('.');
  if (dot == item.npos || dot == 0) {
    return item;
  }
  return item.substr(0, item.size() - base_name(item).size() + dot);
}

std::optional<std::string> value(std::string_view name, std::string_view item,
                                 std::uint64_t number) {
  if (name == "{}") {
    return std::string(item);
  }
  if (name == "{.}") {
    return std::string(without_extension(item));
  }
  if (name == "{/}") {
    return std::string(base_name(item));
  }
  if (name == "{//}") {
    return std::string(folder(item));
  }
  if (name == "{#}") {
    return std::to_string(number);
  }
  return std::nullopt;
}

// A NUL byte cannot be quoted. It is left to the start of the job, which refuses it: one bad item
// fails alone.
std::string quoted(std::string_view text) {
  return text.find('\0') == text.npos ? subproc::quote(text) : std::string(text);
}

} // namespace

item_template::item_template(std::vector<std::string> words, bool shell)
    : words_(std::move(words)), shell_(shell),
      append_(std::none_of(words_.begin(), words_.end(), [](const std::string& word) {
        return std::any_of(of_an_item.begin(), of_an_item.end(),
                           [&](std::string_view name) { return word.find(name) != word.npos; });
      })) {}

std::string item_template::fill(std::string_view word, std::string_view item,
                                std::uint64_t number) const {
  std::string filled;
  while (!word.empty()) {
    const std::size_t open = word.find('{');
    filled += word.substr(0, open);
    if (open == word.npos) {
      break;
    }
    word.remove_prefix(open);
    const std::string_view name = word.substr(0, word.find('}') + 1); // npos + 1: empty
    if (const auto text = value(name, item, number)) {
      filled += shell_ && name != "{#}" ? quoted(*text) : *text;
      word.remove_prefix(name.size());
    } else {
      filled += '{';
      word.remove_prefix(1);
    }
  }
  return filled;
}

subproc::command item_template::make(std::string_view item, std::uint64_t number) const {
  std::vector<std::string> argv;
  for (const std::string& word : words_) {
    argv.push_back(fill(word, item, number));
  }
  if (append_) {
    argv.push_back(shell_ ? quoted(item) : std::string(item));
  }
  if (!shell_) {
    return argv;
  }
  std::string script;
  for (const std::string& word : argv) {
    script += (script.empty() ? "" : " ") + word;
  }
  return subproc::shell(script);
}

} // namespace fanout
