#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/signal_set.hpp>

#include <functional>

namespace fanout {

/// Those that end a run, and those that change how many jobs run at once.
class signals {
public:
  struct callbacks {
    std::function<void(int number)> stop;
    std::function<void(bool more)> change;
  };

  signals(const asio::any_io_executor& executor, callbacks tell);

  void watch();
  void cancel() { set_.cancel(); }

private:
  asio::signal_set set_;
  callbacks tell_;
  int last_ = 0;
};

} // namespace fanout
