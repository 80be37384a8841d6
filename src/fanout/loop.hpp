#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

#include <cstddef>
#include <exception>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

namespace fanout {

/// Several loops, each on a thread of its own: a job is started, watched and read on one of them.
/// All that is fanout's own runs on one at a time, and on the thread that asked for it.
class loop {
public:
  loop();

  /// The others, so that there are as many in all as `threads`, as far as threads can be had.
  void start(std::size_t threads);

  std::vector<asio::any_io_executor> each();
  asio::any_io_executor one_at_a_time() const { return own_; }

  /// The first of them on this thread, until nothing is left to be done there; then until nothing
  /// is left on the others. Throws what one of them threw.
  void run();

  void stop();

private:
  using guard = asio::executor_work_guard<asio::io_context::executor_type>;

  struct other {
    asio::io_context context{1};
    guard more_comes{context.get_executor()};
    std::thread thread{};
  };

  void serve(asio::io_context& context) noexcept;

  asio::io_context first_{1};
  std::list<other> others_{};
  asio::any_io_executor own_;
  std::mutex mutex_{}; ///< of the error
  std::exception_ptr error_{};
};

} // namespace fanout
