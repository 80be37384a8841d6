#include "item_source.hpp"

#include "console.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace fanout {
namespace {

// So much that the total of most inputs is soon known, for the progress bar, and no more.
constexpr std::size_t read_ahead = 8 << 20;

// A block ends with a line, and that may be long.
constexpr std::size_t longest_line_of_block = 256 << 20;

std::size_t bytes_held_by(const std::string& item) { return item.size() + 2 * sizeof(std::string); }

} // namespace

item_source::item_source(std::vector<std::string> items) : queue_(std::make_shared<queue>()) {
  queue_->seen = items.size();
  queue_->items.assign(std::make_move_iterator(items.begin()),
                       std::make_move_iterator(items.end()));
  queue_->ended = true;
}

item_source::item_source(int descriptor, cut how, std::function<void()> more)
    : queue_(std::make_shared<queue>()) {
  start_thread(
      [to = queue_, descriptor, how, more = std::move(more)] { read(to, descriptor, how, more); });
}

item_source::item_source(const std::string& path, cut how, std::function<void()> more)
    : queue_(std::make_shared<queue>()) {
  queue_->name = "'" + path + "'";
  start_thread([to = queue_, path, how, more = std::move(more)] {
    const int descriptor = open_file(path, file_use::read);
    read(to, descriptor, how, more, descriptor < 0 ? errno : 0);
    close_file(descriptor);
  });
}

void item_source::read(std::shared_ptr<queue> to, int descriptor, cut how,
                       const std::function<void()>& more, int failure) {
  std::string rest;
  char buffer[65536];
  const auto put = [&](std::string item) {
    std::unique_lock lock(to->mutex);
    to->room.wait(lock, [&] { return to->bytes < read_ahead; });
    to->bytes += bytes_held_by(item);
    to->items.push_back(std::move(item));
    ++to->seen;
    const bool tell = std::exchange(to->asked, false);
    lock.unlock();
    if (tell) {
      more();
    }
  };
  while (failure == 0) {
    const auto [size, error] = read_some(descriptor, buffer, sizeof buffer);
    if (size == 0) {
      failure = error;
      break;
    }
    std::size_t from = 0;
    std::size_t unseen = rest.size(); // a long item is not searched again with each read
    rest.append(buffer, size);
    // The separator of a block is looked for where the block has its size.
    const std::size_t least = how.block != 0 ? how.block - 1 : 0;
    const std::size_t kept = how.block != 0 ? 1 : 0;
    for (std::size_t end;
         (end = rest.find(how.separator, std::max(unseen, from + least))) != rest.npos;) {
      put(rest.substr(from, end + kept - from));
      from = unseen = end + 1;
    }
    rest.erase(0, from);
    if (rest.size() > (how.block != 0 ? how.block + longest_line_of_block : longest_item)) {
      const std::lock_guard lock(to->mutex);
      to->too_long = true;
      to->blocks = how.block != 0;
      break;
    }
  }
  if (!rest.empty() && !to->too_long) {
    put(std::move(rest));
  }
  bool tell = false;
  {
    const std::lock_guard lock(to->mutex);
    to->ended = true;
    to->failure = failure;
    tell = std::exchange(to->asked, false);
  }
  if (tell) {
    more();
  }
}

item_source::state item_source::next(std::string& item) {
  const std::lock_guard lock(queue_->mutex);
  if (queue_->items.empty()) {
    if (queue_->failure != 0) {
      throw std::system_error(queue_->failure, std::generic_category(),
                              "cannot read " + queue_->name);
    }
    if (queue_->ended && queue_->too_long) {
      throw std::invalid_argument("cannot use " + queue_->name + ": one is longer than " +
                                  (queue_->blocks ? "256" : "16") +
                                  " MiB; are they parted by something else (-0)?");
    }
    queue_->asked = !queue_->ended;
    return queue_->ended ? state::end : state::later;
  }
  item = std::move(queue_->items.front());
  queue_->items.pop_front();
  queue_->bytes -= std::min(queue_->bytes, bytes_held_by(item));
  queue_->room.notify_one();
  return state::item;
}

std::optional<std::size_t> item_source::total() const {
  const std::lock_guard lock(queue_->mutex);
  return queue_->ended ? std::optional(queue_->seen) : std::nullopt;
}

} // namespace fanout
