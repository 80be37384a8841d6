#pragma once

#include <subproc/command.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace SUBPROC_NAMESPACE::detail {

/// The kept bytes of one stream, under the policy of a limit.
class capture {
public:
  explicit capture(capture_limit limit = {}) : limit_(limit) {}

  void append(std::string_view data);

  /// Takes memory for as many bytes at the head, before they are read and could be lost.
  void make_room(std::size_t size);

  /// From now on what is beyond the limit is dropped where it was an error.
  void drop_excess() noexcept;

  /// The policy is `error` and more than the limit has come.
  bool over_limit() const noexcept {
    return limit_.policy == overflow::error && head_.size() > limit_.bytes;
  }

  std::size_t size() const noexcept { return head_.size() + tail_.size(); }
  std::uint64_t received() const noexcept { return received_; }
  std::uint64_t dropped() const noexcept { return received_ - size(); }

  /// The kept bytes in order, without giving them up.
  std::string_view view();
  std::string take();

private:
  std::size_t head_room() const noexcept;
  void append_tail(std::string_view data, std::size_t room);

  capture_limit limit_;
  std::string head_;
  std::string tail_; ///< a ring once it is full; the oldest byte is at tail_start_
  std::size_t tail_start_ = 0;
  std::uint64_t received_ = 0;
  std::string joined_view_; ///< what view() lends when head and tail are two
};

} // namespace subproc::detail
