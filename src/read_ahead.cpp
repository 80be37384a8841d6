#include "read_ahead.hpp"

#include <algorithm>

namespace SUBPROC_NAMESPACE::detail {

void read_ahead::make_room(std::size_t size) {
  // What was taken pays for what is moved.
  if (begin_ >= this->size()) {
    bytes_.erase(0, begin_);
    begin_ = 0;
  }
  if (bytes_.capacity() - bytes_.size() < size) {
    bytes_.reserve(std::max(bytes_.size() + size, bytes_.size() + bytes_.size() / 2));
  }
}

void read_ahead::append(std::string_view data) {
  make_room(data.size());
  bytes_.append(data);
}

std::size_t read_ahead::search(std::string_view delimiter) {
  if (delimiter != searched_for_) {
    searched_for_ = delimiter;
    searched_ = 0;
  }
  const std::size_t at = view().find(delimiter, searched_);
  searched_ = at != std::string_view::npos ? at : size() - std::min(size(), delimiter.size() - 1);
  return at;
}

std::optional<found_text> read_ahead::find(const text_request& wanted, bool ended) {
  const std::size_t at = search(wanted.delimiter);
  const bool whole = at != std::string_view::npos;
  const found_text too_long{asio::error::not_found};
  if (wanted.kind == text_kind::until) {
    if (searched_ > wanted.limit) {
      return too_long;
    }
    if (whole) {
      return found_text{{}, at + wanted.delimiter.size()};
    }
    return ended ? std::optional(found_text{asio::error::eof}) : std::nullopt;
  }

  std::size_t text = whole ? at : size();
  // A carriage return at the end belongs to the line's end, or may turn out to.
  if ((whole || !ended) && text > 0 && view()[text - 1] == '\r') {
    --text;
  }
  if (text > wanted.limit) {
    return wanted.kind == text_kind::piece ? found_text{{}, wanted.limit, 0, true} : too_long;
  }
  if (whole) {
    return found_text{{}, text, at + 1 - text};
  }
  if (ended) {
    return empty() ? found_text{asio::error::eof} : found_text{{}, text};
  }
  return std::nullopt;
}

void read_ahead::take(const found_text& found, std::string& into) {
  into.assign(view().substr(0, found.size));
  drop(found.size + found.ending);
}

std::size_t read_ahead::take(void* to, std::size_t size) noexcept {
  const std::size_t n = view().copy(static_cast<char*>(to), size);
  drop(n);
  return n;
}

void read_ahead::drop(std::size_t size) noexcept {
  begin_ += size;
  searched_ -= std::min(searched_, size);
}

void read_ahead::clear() noexcept {
  drop(size());
  trim();
}

void read_ahead::trim() noexcept {
  if (empty()) {
    std::string().swap(bytes_);
    begin_ = searched_ = 0;
  }
}

} // namespace subproc::detail
