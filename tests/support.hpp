#pragma once

#include "printing.hpp"

#include <subproc/error.hpp>
#include <subproc/exit_status.hpp>

#if __has_include(<asio/as_tuple.hpp>)
#include <asio/as_tuple.hpp>
#include <asio/deferred.hpp>
#else
#include <asio/experimental/as_tuple.hpp>
#include <asio/experimental/deferred.hpp>
#endif
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <mutex>
#include <optional>
#include <ostream>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace subproc::test {

/// The path of a program of tests/helpers, and of fanout; see programs.cpp.
std::string helper(const char* name);
std::string fanout_program();

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

/// How often a test repeats itself; a tenth of that where a sanitizer makes everything slow.
constexpr int times(int count) { return sanitized ? (count + 9) / 10 : count; }

/// Looks again and again until something without an event is so; false after a time that only what
/// never comes would need. It sleeps between looks, because what it looks for has no event.
template <class Condition>
bool eventually(Condition condition, std::chrono::seconds patience = std::chrono::seconds(30)) {
  const auto give_up = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// Ends the program when a test that may hang does.
class watchdog {
public:
  explicit watchdog(std::chrono::seconds patience = std::chrono::seconds(50))
      : thread_([this, patience] {
          std::unique_lock lock(mutex_);
          if (!wake_.wait_for(lock, patience, [this] { return done_; })) {
            std::fputs("watchdog: the test hangs\n", stderr);
            std::abort();
          }
        }) {}
  ~watchdog() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;
  std::thread thread_;
};

// Both were experimental in Asio 1.22.
#if __has_include(<asio/as_tuple.hpp>)
using asio::as_tuple;
using asio::deferred;
#else
using asio::experimental::as_tuple;
using asio::experimental::deferred;
#endif

} // namespace subproc::test

// What a platform's tests look at: found in tests/posix or tests/windows.
#include "platform_support.hpp"
