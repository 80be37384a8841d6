#pragma once

#include <subproc/detail/core.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace SUBPROC_NAMESPACE::detail {

/// What answers a text_request: so many of the held bytes, and as many more that are dropped with
/// them. After an error nothing is taken.
struct found_text {
  error_code ec{};
  std::size_t size = 0;
  std::size_t ending = 0;
  bool goes_on = false;
};

/// Bytes that were read beyond what was asked for, and the search for lines in them. Each byte is
/// searched once, however often and in however small parts more comes, and moved a bounded number
/// of times.
class read_ahead {
public:
  std::string_view view() const noexcept { return std::string_view(bytes_).substr(begin_); }
  std::size_t size() const noexcept { return bytes_.size() - begin_; }
  bool empty() const noexcept { return size() == 0; }

  /// Takes memory for so many bytes, before they are read and could be lost.
  void make_room(std::size_t size);
  void append(std::string_view data);

  /// What the held bytes give; nothing when more must be read first. `ended`: no more will come,
  /// and there is always an answer.
  std::optional<found_text> find(const text_request& wanted, bool ended);

  /// Takes what was found.
  void take(const found_text& found, std::string& into);
  /// Takes up to so many bytes.
  std::size_t take(void* to, std::size_t size) noexcept;

  /// Drops all, memory too.
  void clear() noexcept;
  /// Gives back memory when nothing is held.
  void trim() noexcept;

private:
  std::size_t search(std::string_view delimiter);
  void drop(std::size_t size) noexcept;

  std::string bytes_;
  std::size_t begin_ = 0;    ///< what is before it was taken
  std::size_t searched_ = 0; ///< no delimiter begins in so many of the held bytes
  std::string searched_for_;
};

} // namespace subproc::detail
