#include "capture.hpp"

#include "platform.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {
namespace {

// Growth by what arrives would copy a large capture once a read. Doubling has touched every page
// twice in the end, and the first touch is what a capture costs most; what is only reserved costs
// nothing where the system takes that at its word. Near the end of memory it takes what it must.
void grow(std::string& to, std::size_t more) {
  constexpr std::size_t large = 8 << 20;
  const std::size_t least = to.size() + more;
  if (to.capacity() >= least) {
    return;
  }
  for (std::size_t factor = to.capacity() >= large && reserving_is_free() ? 256 : 2; factor > 1;
       factor /= 2) {
    try {
      to.reserve(std::max(least, factor * to.capacity()));
      return;
    } catch (const std::bad_alloc&) {
    }
  }
  to.reserve(least);
}

void append_growing(std::string& to, std::string_view data) {
  grow(to, data.size());
  to.append(data);
}

} // namespace

std::size_t capture::head_room() const noexcept {
  std::size_t room = limit_.bytes;
  if (limit_.policy == overflow::error) {
    return static_cast<std::size_t>(-1) - head_.size(); // the excess is kept: nothing is lost
  }
  if (limit_.policy == overflow::tail) {
    room = 0;
  } else if (limit_.policy == overflow::head_tail) {
    room -= limit_.bytes / 2;
  }
  return room - std::min(room, head_.size());
}

void capture::make_room(std::size_t size) { grow(head_, std::min(size, head_room())); }

void capture::drop_excess() noexcept {
  if (limit_.policy == overflow::error) {
    limit_.policy = overflow::head;
    head_.resize(std::min(head_.size(), limit_.bytes));
  }
}

void capture::append(std::string_view data) {
  received_ += data.size();
  const std::string_view first = data.substr(0, head_room());
  append_growing(head_, first);
  data.remove_prefix(first.size());
  if (data.empty() || limit_.policy == overflow::head) {
    return;
  }
  append_tail(data, limit_.policy == overflow::tail ? limit_.bytes : limit_.bytes / 2);
}

void capture::append_tail(std::string_view data, std::size_t room) {
  if (data.size() >= room) {
    tail_.assign(data.substr(data.size() - room));
    tail_start_ = 0;
    return;
  }
  const std::string_view fits = data.substr(0, room - tail_.size());
  append_growing(tail_, fits);
  data.remove_prefix(fits.size());
  while (!data.empty()) {
    const std::size_t n = std::min(data.size(), tail_.size() - tail_start_);
    data.copy(tail_.data() + tail_start_, n);
    tail_start_ = (tail_start_ + n) % tail_.size();
    data.remove_prefix(n);
  }
}

std::string_view capture::view() {
  if (tail_.empty()) {
    return head_;
  }
  std::rotate(tail_.begin(), tail_.begin() + static_cast<std::ptrdiff_t>(tail_start_), tail_.end());
  tail_start_ = 0;
  if (head_.empty()) {
    return tail_;
  }
  joined_view_ = head_ + tail_;
  return joined_view_;
}

std::string capture::take() {
  if (tail_.empty()) {
    return std::exchange(head_, {});
  }
  std::rotate(tail_.begin(), tail_.begin() + static_cast<std::ptrdiff_t>(tail_start_), tail_.end());
  return head_.empty() ? std::exchange(tail_, {})
                       : std::exchange(head_, {}) + std::exchange(tail_, {});
}

} // namespace subproc::detail
