#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <utility>

namespace fanout {

/// Writes to stdout and stderr, in order, on a thread of its own: a reader that stalls holds up no
/// time-out and no signal. Lives as long as the program, since that thread may sit in a write.
class output {
public:
  struct callbacks {
    std::function<void()> room;    ///< there is room again, after full() was true
    std::function<void()> written; ///< all is written, after flush()
    /// With an errno, once; of what comes later only words of fanout's own are written.
    std::function<void(int descriptor, int error)> failed;
  };

  /// The callbacks are called on the thread.
  explicit output(callbacks tell);

  /// Never blocks, as tell().
  void put(int descriptor, std::string text) { add({descriptor, std::move(text), false}); }

  /// Words of fanout's own, for stderr: no failure when nobody can read them.
  void tell(std::string text) { add({2, std::move(text), true}); }

  /// So much waits that no more should be made.
  bool full() const;
  bool empty() const;

  /// Asks for `written`.
  void flush();

private:
  struct piece {
    int descriptor;
    std::string text;
    bool best_effort;
  };

  void add(piece next);
  void run();

  callbacks tell_;
  mutable std::mutex mutex_;
  mutable bool asked_for_room_ = false;
  std::condition_variable more_;
  std::deque<piece> pieces_; ///< the first is being written
  std::size_t bytes_ = 0;
  bool flushing_ = false;
  bool failed_ = false;
};

} // namespace fanout
