#include <subproc/result_stream.hpp>

#include "pool_machine.hpp"

#include <deque>
#include <mutex>

namespace SUBPROC_NAMESPACE {
namespace detail {

class result_queue : public std::enable_shared_from_this<result_queue> {
public:
  result_queue(const asio::any_io_executor& executor, std::size_t most)
      : executor_(executor), most_(most) {}

  void feed_from(std::shared_ptr<pool_core> core) { core_ = std::move(core); }

  void put(pool_result result) {
    const std::lock_guard lock(mutex_);
    if (closed_) {
      return;
    }
    if (taker_) {
      std::exchange(taker_, {}).complete(nullptr, std::move(result));
    } else {
      results_.push_back(std::move(result));
    }
  }

  bool has_room() {
    const std::lock_guard lock(mutex_);
    held_back_ = results_.size() >= most_;
    return !held_back_;
  }

  void next(asio::cancellation_slot slot, result_handler handler) {
    std::unique_lock lock(mutex_);
    if (taker_) {
      lock.unlock();
      handler.complete(error_of(make_error_code(errc::operation_pending)), {});
      return;
    }
    if (!results_.empty()) {
      pool_result result = std::move(results_.front());
      results_.pop_front();
      const bool wake_source = held_back_ && results_.size() < most_;
      held_back_ = held_back_ && !wake_source;
      const auto core = core_;
      lock.unlock();
      handler.complete(nullptr, std::move(result));
      if (wake_source && core) {
        wake(core);
      }
      return;
    }
    if (over_) {
      lock.unlock();
      handler.complete(error_, {});
      return;
    }
    taker_ = std::move(handler);
    const std::uint64_t number = ++takes_;
    if (slot.is_connected()) {
      slot.assign([weak = weak_from_this(), number](asio::cancellation_type type) {
        const auto self = weak.lock();
        if (self && type != asio::cancellation_type::none) {
          self->cancel(number);
        }
      });
    }
    if (!std::exchange(begun_, true)) {
      lock.unlock();
      begin();
    }
  }

  void close() noexcept {
    std::unique_lock lock(mutex_);
    closed_ = true;
    results_.clear();
    const auto core = std::exchange(core_, nullptr);
    result_handler taker = std::exchange(taker_, {});
    lock.unlock();
    if (taker) {
      taker.complete(error_of(asio::error::operation_aborted), {});
    }
    if (core) {
      forget(core);
    }
  }

private:
  static std::exception_ptr error_of(error_code ec) {
    return std::make_exception_ptr(system_error(ec, "result_stream"));
  }

  void begin() {
    async_run(core_, {},
              {[self = shared_from_this()](std::exception_ptr error, const pool_summary&) {
                 self->end(std::move(error));
               },
               executor_});
  }

  void end(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    over_ = true;
    error_ = std::move(error);
    core_ = nullptr;
    if (taker_) {
      std::exchange(taker_, {}).complete(error_, {});
    }
  }

  void cancel(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    if (taker_ && number == takes_) {
      std::exchange(taker_, {}).complete(error_of(asio::error::operation_aborted), {});
    }
  }

  asio::any_io_executor executor_;
  std::size_t most_;
  std::mutex mutex_;
  std::shared_ptr<pool_core> core_;
  std::deque<pool_result> results_;
  result_handler taker_;
  std::exception_ptr error_;
  std::uint64_t takes_ = 0;
  bool held_back_ = false;
  bool begun_ = false;
  bool over_ = false;
  bool closed_ = false;
};

std::shared_ptr<result_queue> make_result_queue(const asio::any_io_executor& executor,
                                                const pool_options& options) {
  return std::make_shared<result_queue>(executor, one_a_core(options.concurrency));
}

void put_result(const std::shared_ptr<result_queue>& queue, pool_result result) {
  queue->put(std::move(result));
}

bool has_room(const std::shared_ptr<result_queue>& queue) { return queue->has_room(); }

void feed(const std::shared_ptr<result_queue>& queue, std::shared_ptr<pool_core> core) {
  queue->feed_from(std::move(core));
}

void async_next(const std::shared_ptr<result_queue>& queue, asio::cancellation_slot slot,
                result_handler handler) {
  queue->next(slot, std::move(handler));
}

void close(const std::shared_ptr<result_queue>& queue) noexcept { queue->close(); }

} // namespace detail
} // namespace subproc
