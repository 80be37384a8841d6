// One thread waits, with poll, for all sinks that were found full, and makes the pipe of each that
// has room again readable.

#include "writable_event.hpp"

#include "../per_process.hpp"
#include "../platform.hpp"

#include "system.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <mutex>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

struct event_pipe {
  unique_handle read_end;
  unique_handle write_end;

  event_pipe() {
    int ends[2];
    if (sys::open_pipe(ends, O_NONBLOCK) < 0) {
      throw spawn_error(error_code(errno, detail::system_category()), spawn_step::open, {},
                        "the sink of a tee cannot be watched");
    }
    read_end.reset(ends[0]);
    write_end.reset(ends[1]);
  }

  void ring() noexcept {
    const char byte = 0;
    [[maybe_unused]] const ssize_t n = ::write(write_end.get(), &byte, 1); // full is as good
  }

  void clear() noexcept {
    char bytes[64];
    while (::read(read_end.get(), bytes, sizeof bytes) > 0) {
    }
  }
};

struct watched_sink {
  explicit watched_sink(native_handle_type which) : sink(which) { event.ring(); }

  native_handle_type sink;
  event_pipe event;
};

// A thread with what it waits for; both go with the last sink.
struct watch_round {
  event_pipe wake;
  std::vector<watched_sink*> full;
  bool over = false;
};

class sink_watch {
public:
  void add() {
    const std::lock_guard lock(mutex_);
    if (!round_) {
      auto fresh = std::make_shared<watch_round>();
      start_background_thread([this, fresh] { run(*fresh); });
      round_ = std::move(fresh);
    }
    // A full sink must not be one that cannot be waited for, for want of memory.
    round_->full.reserve(count_ + 1);
    ++count_;
  }

  void wait_for_room(watched_sink& sink) noexcept {
    const std::lock_guard lock(mutex_);
    sink.event.clear();
    if (std::find(round_->full.begin(), round_->full.end(), &sink) == round_->full.end()) {
      round_->full.push_back(&sink);
    }
    round_->wake.ring();
  }

  void remove(watched_sink& sink) noexcept {
    const std::lock_guard lock(mutex_);
    std::erase(round_->full, &sink);
    round_->over = --count_ == 0;
    round_->wake.ring();
    if (round_->over) {
      round_.reset();
    }
  }

private:
  void run(watch_round& mine) {
    std::vector<pollfd> polled;
    std::vector<watched_sink*> asked;
    for (;;) {
      {
        const std::lock_guard lock(mutex_);
        if (mine.over) {
          return;
        }
        mine.wake.clear();
        asked = mine.full;
        polled.assign(1, {mine.wake.read_end.get(), POLLIN, 0});
        for (const watched_sink* each : asked) {
          polled.push_back({each->sink, POLLOUT, 0});
        }
      }
      if (::poll(polled.data(), static_cast<nfds_t>(polled.size()), -1) <= 0) {
        continue;
      }
      const std::lock_guard lock(mutex_);
      for (std::size_t i = 0; i < asked.size(); ++i) {
        const auto place = std::find(mine.full.begin(), mine.full.end(), asked[i]);
        if (polled[i + 1].revents != 0 && place != mine.full.end()) {
          (*place)->event.ring();
          mine.full.erase(place);
        }
      }
    }
  }

  std::mutex mutex_;
  std::shared_ptr<watch_round> round_;
  std::size_t count_ = 0;
};

class polled_event final : public writable_event {
public:
  explicit polled_event(native_handle_type handle) : sink_(handle) {
    of_this_process<sink_watch>().add();
  }
  ~polled_event() override { of_this_process<sink_watch>().remove(sink_); }

  native_handle_type handle() const noexcept override { return sink_.event.read_end.get(); }
  void full() noexcept override { of_this_process<sink_watch>().wait_for_room(sink_); }

private:
  watched_sink sink_;
};

} // namespace

std::unique_ptr<writable_event> make_writable_event(native_handle_type handle) {
  try {
    return std::make_unique<polled_event>(handle);
  } catch (const spawn_error&) {
    throw;
  } catch (const system_error& error) { // no thread for the watch
    throw spawn_error(error.code(), spawn_step::open, {}, "the sink of a tee cannot be watched");
  }
}

} // namespace subproc::detail
