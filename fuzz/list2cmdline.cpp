// list2cmdline against the other side: a reader with the rules that are documented for
// CommandLineToArgvW and the start-up code of Microsoft's C run-time.

#include "fuzz.hpp"

#include <subproc/quote.hpp>

namespace {

using subproc::fuzz::choices;
using strings = std::vector<std::string>;

// The arguments after the program's name. 2n backslashes and a quote are n backslashes and a quote
// that begins or ends a quoted part; with one backslash more the quote is literal; other
// backslashes are themselves. Blanks outside of quoted parts separate.
strings parsed(std::string_view line) {
  strings args;
  bool within = false;
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (!quoted && (line[i] == ' ' || line[i] == '\t')) {
      within = false;
      continue;
    }
    if (!within) {
      args.emplace_back();
      within = true;
    }
    std::size_t backslashes = 0;
    while (i + backslashes < line.size() && line[i + backslashes] == '\\') {
      ++backslashes;
    }
    const bool at_quote = i + backslashes < line.size() && line[i + backslashes] == '"';
    if (at_quote) {
      args.back().append(backslashes / 2, '\\');
      i += backslashes;
      if (backslashes % 2 == 1) {
        args.back() += '"';
      } else {
        quoted = !quoted;
      }
    } else if (backslashes > 0) {
      args.back().append(backslashes, '\\');
      i += backslashes - 1;
    } else {
      args.back() += line[i];
    }
  }
  HOLDS(!quoted);
  return args;
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const strings args = choices(data, size).fields('\0');
  HOLDS(parsed(subproc::list2cmdline(args)) == args);
  return 0;
}
