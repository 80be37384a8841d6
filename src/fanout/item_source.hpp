#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace fanout {

/// A longer one is an error: what it would be for takes no argument of that size.
inline constexpr std::size_t longest_item = 16 << 20;

/// The items, read ahead by a thread of their own, within a few MiB: an endless or slow input
/// stalls nothing.
class item_source {
public:
  enum class state { item, later, end };

  /// From the command line.
  explicit item_source(std::vector<std::string> items);
  /// How a stream is cut: at each separator, which goes; or, with a size of blocks, behind the
  /// first one with which a block has that size, which stays.
  struct cut {
    char separator = '\n';
    std::size_t block = 0;
  };
  /// From a descriptor; `more` is called, on the thread, after a `later`. Throws std::system_error.
  item_source(int descriptor, cut how, std::function<void()> more);
  /// The same from a file, which is opened on the thread.
  item_source(const std::string& path, cut how, std::function<void()> more);

  /// Takes the next item. Throws std::system_error when the descriptor could not be read to its
  /// end, std::invalid_argument when an item is too long.
  state next(std::string& item);

  /// How many there are in all, once that is known.
  std::optional<std::size_t> total() const;

private:
  struct queue {
    mutable std::mutex mutex;
    std::condition_variable room;
    std::deque<std::string> items;
    std::size_t bytes = 0; // held by the items
    std::size_t seen = 0;
    bool asked = false;
    bool ended = false;
    int failure = 0; // why it ended, if not well
    bool too_long = false;
    bool blocks = false;
    std::string name = "the items";
  };

  static void read(std::shared_ptr<queue> to, int descriptor, cut how,
                   const std::function<void()>& more, int failure = 0);

  std::shared_ptr<queue> queue_;
};

} // namespace fanout
