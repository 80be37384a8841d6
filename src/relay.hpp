#pragma once

#include "platform.hpp"

#include <subproc/launcher.hpp>
#include <subproc/pipeline.hpp>

#include <array>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

/// Filters between two children: reads one's pipe, and writes what they make of it to the other's.
/// Nothing is read before all that was made has been taken. One step follows the other, so only a
/// stop comes from elsewhere; the filters are called without the mutex, for they may do anything.
class relay : public std::enable_shared_from_this<relay> {
public:
  using ended_function = std::function<void(std::exception_ptr)>;

  /// `ended` is called once, with what a filter threw.
  relay(const asio::any_io_executor& executor, unique_handle from, unique_handle to,
        std::vector<filter::function> filters, ended_function ended);

  void start();
  /// Both children have ended: nobody reads, and whoever still writes is not waited for.
  void stop();

private:
  enum class outcome : unsigned char { again, waits, over };

  void step();
  outcome move();
  outcome write();
  outcome read();
  void wait(readiness& ready, native_handle_type handle, bool for_write);
  void finish(std::exception_ptr error);
  std::string filtered(std::string_view bytes, bool last);

  asio::any_io_executor executor_;
  std::vector<filter::function> filters_;
  ended_function ended_;
  std::array<char, 64 * 1024> buffer_;
  std::string made_; ///< from `taken_` on not yet written
  std::size_t taken_ = 0;
  bool at_end_ = false;

  std::mutex mutex_; ///< of what follows
  unique_handle from_;
  unique_handle to_;
  readiness from_ready_;
  readiness to_ready_;
  bool stopped_ = false;
};

} // namespace subproc::detail
