// read_ahead with bytes in any parts and requests of any kind: what is handed out, put together, is
// what was put in, and each answer is what a search of all held bytes gives.

#include "fuzz.hpp"

#include <read_ahead.hpp>

#include <algorithm>

namespace {

using namespace subproc;
using detail::found_text;
using detail::read_ahead;
using detail::text_kind;
using detail::text_request;
using fuzz::choices;

text_request some_request(choices& given) {
  constexpr std::size_t limits[] = {0, 1, 2, 3, 8, static_cast<std::size_t>(-1)};
  constexpr text_kind kinds[] = {text_kind::line, text_kind::piece, text_kind::until};
  text_request wanted{kinds[given.below(3)], limits[given.below(6)]};
  if (wanted.kind == text_kind::until) {
    constexpr const char* delimiters[] = {"\n", "\r\n", "aa", "aba"};
    wanted.delimiter = delimiters[given.below(4)];
  } else if (wanted.kind == text_kind::piece) {
    wanted.limit = std::max<std::size_t>(wanted.limit, 1);
  }
  return wanted;
}

// What a line or piece may be, without a memory of what was searched before.
void check_line(const std::string& held, const text_request& wanted, bool ended,
                const std::optional<found_text>& found) {
  const std::size_t newline = held.find('\n');
  const bool whole = newline != std::string::npos;
  std::size_t size = std::min(newline, held.size());
  if (size > 0 && held[size - 1] == '\r' && (whole || !ended)) {
    --size;
  }
  if (size > wanted.limit) {
    HOLDS(found.has_value());
    HOLDS(wanted.kind == text_kind::piece
              ? found->goes_on && found->size == wanted.limit && found->ending == 0
              : found->ec == asio::error::not_found);
  } else if (whole) {
    HOLDS(found && !found->ec && !found->goes_on);
    HOLDS(found->size == size && found->size + found->ending == newline + 1);
  } else if (ended) {
    HOLDS(found && !found->goes_on && found->size == held.size() && found->ending == 0);
    HOLDS(found->ec == (held.empty() ? error_code(asio::error::eof) : error_code()));
  } else {
    HOLDS(!found);
  }
}

void check_until(const std::string& held, const text_request& wanted, bool ended,
                 const std::optional<found_text>& found) {
  const std::size_t at = held.find(wanted.delimiter);
  // Where the delimiter is, or can be at the earliest.
  const std::size_t earliest =
      at != std::string::npos ? at
                              : held.size() - std::min(held.size(), wanted.delimiter.size() - 1);
  if (earliest > wanted.limit) {
    HOLDS(found && found->ec == asio::error::not_found);
  } else if (at != std::string::npos) {
    HOLDS(found && !found->ec && found->size == at + wanted.delimiter.size());
  } else if (ended) {
    HOLDS(found && found->ec == asio::error::eof);
  } else {
    HOLDS(!found);
  }
  HOLDS(!found || (!found->goes_on && found->ending == 0));
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  choices given(data, size);
  read_ahead ahead;
  std::string held;
  while (!given.empty()) {
    switch (given.below(4)) {
    case 0:
    case 1: {
      const std::string part = given.bytes(given.below(16));
      ahead.append(part);
      held += part;
      break;
    }
    case 2: {
      char some[16];
      const std::size_t taken = ahead.take(some, given.below(sizeof some));
      HOLDS(held.starts_with(std::string_view(some, taken)));
      held.erase(0, taken);
      if (given.flip()) {
        ahead.trim();
      }
      break;
    }
    default: {
      const text_request wanted = some_request(given);
      const bool ended = given.flip();
      const auto found = ahead.find(wanted, ended);
      if (wanted.kind == text_kind::until) {
        check_until(held, wanted, ended, found);
      } else {
        check_line(held, wanted, ended, found);
      }
      if (found && !found->ec) {
        std::string text;
        ahead.take(*found, text);
        HOLDS(held.starts_with(text) && text.size() == found->size);
        held.erase(0, found->size + found->ending);
      }
    }
    }
    HOLDS(ahead.view() == held);
  }
  return 0;
}
