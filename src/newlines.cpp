#include <subproc/newlines.hpp>

#include <algorithm>

namespace SUBPROC_NAMESPACE {

std::string normalise_newlines(std::string text) {
  auto to = std::ranges::find(text, '\r');
  for (auto from = to; from != text.end(); ++from) {
    if (*from != '\r') {
      *to++ = *from;
    } else if (from + 1 == text.end() || from[1] != '\n') {
      *to++ = '\n';
    }
  }
  text.erase(to, text.end());
  return text;
}

} // namespace subproc
