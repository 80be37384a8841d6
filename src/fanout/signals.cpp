#include "signals.hpp"

#include "console.hpp"

#include <subproc/error.hpp>

#include <utility>

namespace fanout {

signals::signals(const asio::any_io_executor& executor, callbacks tell)
    : set_(executor), tell_(std::move(tell)) {
  for (const int number : stop_signals()) {
    set_.add(number);
  }
  for (const int number : {more_jobs_signal, fewer_jobs_signal}) {
    if (number != 0) {
      set_.add(number);
    }
  }
}

void signals::watch() {
  set_.async_wait([this](subproc::error_code ec, int number) {
    if (ec) {
      return;
    }
    if (number == more_jobs_signal || number == fewer_jobs_signal) {
      tell_.change(number == more_jobs_signal);
    } else if (number != last_ || !comes_twice(number)) {
      last_ = number;
      tell_.stop(number);
    }
    watch();
  });
}

} // namespace fanout
