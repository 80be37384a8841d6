#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/io_context.hpp>

#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace fanout {

/// One event loop on several threads: jobs are started, watched and read on any of them; all that
/// is fanout's own runs on one at a time.
class loop {
public:
  loop();

  asio::any_io_executor any_thread() { return context_.get_executor(); }
  asio::any_io_executor one_at_a_time() const { return own_; }

  /// On this thread and others, `threads` in all as far as they can be had, until nothing is left
  /// to be done. Throws what one of them threw.
  void run(std::size_t threads);

  /// From now on on as many, not fewer. Called from inside, one at a time.
  void grow(std::size_t threads);

  void stop() { context_.stop(); }

private:
  void serve() noexcept;

  asio::io_context context_{};
  asio::any_io_executor own_;
  std::vector<std::thread> others_{};
  std::mutex mutex_{}; ///< of the error
  std::exception_ptr error_{};
};

} // namespace fanout
