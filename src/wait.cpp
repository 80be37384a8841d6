#include <subproc/wait.hpp>

#include "process_core.hpp"

#include <algorithm>
#include <memory>
#include <mutex>

namespace SUBPROC_NAMESPACE::detail {
namespace {

/// One wait on each child, told to one handler. What is pending on the children keeps it alive.
class joint_wait : public std::enable_shared_from_this<joint_wait> {
public:
  joint_wait(const asio::any_io_executor& executor, std::vector<core_ptr> cores,
             any_wait_handler one, all_wait_handler all)
      : executor_(executor), cores_(std::move(cores)), ids_(cores_.size()),
        statuses_(cores_.size()), left_(cores_.size()), one_(std::move(one)), all_(std::move(all)) {
  }

  void start(asio::cancellation_slot slot) {
    lock held(mutex_); // a child may end while the others are still being looked at
    if (cores_.empty()) {
      finish(held, one_ ? detail::generic_error(std::errc::invalid_argument) : error_code());
      return;
    }
    const auto null = std::ranges::find(cores_, nullptr);
    if (null != cores_.end()) {
      finish(held, make_error_code(errc::no_child),
             static_cast<std::size_t>(null - cores_.begin()));
      return;
    }
    std::vector<std::size_t> alive;
    for (std::size_t i = 0; i < cores_.size(); ++i) {
      if (const auto status = cores_[i]->poll()) {
        if (ended(held, i, {}, *status)) {
          return;
        }
      } else {
        alive.push_back(i);
      }
    }
    if (slot.is_connected()) {
      slot.assign([weak = weak_from_this()](asio::cancellation_type type) {
        const auto self = weak.lock();
        if (self && type != asio::cancellation_type::none) {
          lock again(self->mutex_);
          self->finish(again, asio::error::operation_aborted);
        }
      });
    }
    for (const std::size_t i : alive) {
      ids_[i] =
          cores_[i]->async_wait({}, {},
                                {[self = shared_from_this(), i](error_code ec, exit_status status) {
                                   lock again(self->mutex_);
                                   self->ended(again, i, ec, status);
                                 },
                                 executor_});
    }
  }

private:
  using lock = std::unique_lock<std::mutex>;

  /// True when that was the end of the whole.
  bool ended(lock& held, std::size_t index, error_code ec, exit_status status) {
    if (over_) {
      return true;
    }
    statuses_[index] = status;
    ec_ = ec_ ? ec_ : ec;
    if (!one_ && --left_ > 0) {
      return false;
    }
    finish(held, ec_, index);
    return true;
  }

  // Leaves the mutex free: what is forgotten may own anything.
  void finish(lock& held, error_code ec, std::size_t index = 0) {
    if (std::exchange(over_, true)) {
      return;
    }
    const std::vector<core_ptr> cores = std::move(cores_);
    held.unlock();
    for (std::size_t i = 0; i < cores.size(); ++i) {
      if (ids_[i] != 0) {
        cores[i]->forget_wait(ids_[i]);
      }
    }
    if (one_) {
      one_.complete(ec, index, statuses_.empty() ? exit_status() : statuses_[index]);
    } else {
      all_.complete(ec, std::move(statuses_));
    }
  }

  std::mutex mutex_;
  asio::any_io_executor executor_;
  std::vector<core_ptr> cores_;
  std::vector<std::uint64_t> ids_;
  std::vector<exit_status> statuses_;
  std::size_t left_;
  error_code ec_;
  bool over_ = false;
  any_wait_handler one_;
  all_wait_handler all_;
};

steady_clock::time_point end_of(const std::optional<duration>& limit,
                                const std::shared_ptr<time_source>& clock) {
  return limit ? limit->after(now_by(clock)) : steady_clock::time_point::max();
}

// Of the first that has one.
std::shared_ptr<time_source> clock_of(const std::vector<core_ptr>& cores) {
  const auto found =
      std::ranges::find_if(cores, [](const core_ptr& core) { return core->clock() != nullptr; });
  return found == cores.end() ? nullptr : (*found)->clock();
}

void refuse_missing(const std::vector<core_ptr>& cores, const char* what) {
  if (std::ranges::find(cores, nullptr) != cores.end()) {
    throw system_error(make_error_code(errc::no_child), what);
  }
}

} // namespace

void async_wait_any(const asio::any_io_executor& executor, std::vector<core_ptr> cores,
                    asio::cancellation_slot slot, any_wait_handler handler) {
  std::make_shared<joint_wait>(executor, std::move(cores), std::move(handler), all_wait_handler())
      ->start(slot);
}

void async_wait_all(const asio::any_io_executor& executor, std::vector<core_ptr> cores,
                    asio::cancellation_slot slot, all_wait_handler handler) {
  std::make_shared<joint_wait>(executor, std::move(cores), any_wait_handler(), std::move(handler))
      ->start(slot);
}

std::optional<ended_child> wait_any(const std::vector<core_ptr>& cores,
                                    std::optional<duration> limit) {
  if (cores.empty()) {
    throw system_error(detail::generic_error(std::errc::invalid_argument),
                       "wait_any: there are no children");
  }
  refuse_missing(cores, "wait_any");
  const auto clock = clock_of(cores);
  const auto until = end_of(limit, clock);
  std::vector<wait_entry> entries(cores.size());
  std::ranges::transform(cores, entries.begin(),
                         [](const core_ptr& core) { return wait_entry{core->wait_handle()}; });
  auto pause = steady_clock::duration::zero();
  for (bool first = true;; first = false) {
    const auto now = now_by(clock);
    for (std::size_t i = 0; i < cores.size(); ++i) {
      if (!first && !entries[i].ready && entries[i].handle != invalid_handle) {
        continue;
      }
      if (const auto status = cores[i]->poll()) {
        return ended_child{i, *status};
      }
      if (entries[i].ready) { // and not reapable: it is asked by time from now on
        entries[i] = {};
        pause = std::max<steady_clock::duration>(pause, std::chrono::milliseconds(1));
      }
    }
    if (now >= until) {
      return std::nullopt;
    }
    wait_by(clock, entries, until, pause);
    pause = std::min<steady_clock::duration>(2 * pause, std::chrono::milliseconds(64));
  }
}

std::optional<std::vector<exit_status>> wait_all(const std::vector<core_ptr>& cores,
                                                 std::optional<duration> limit) {
  refuse_missing(cores, "wait_all");
  std::vector<steady_clock::time_point> ends; // by the clock of each
  for (const core_ptr& core : cores) {
    ends.push_back(end_of(limit, core->clock()));
  }
  std::vector<exit_status> statuses;
  for (std::size_t i = 0; i < cores.size(); ++i) {
    const auto status = cores[i]->wait_until(ends[i]);
    if (!status) {
      return std::nullopt;
    }
    statuses.push_back(*status);
  }
  return statuses;
}

} // namespace subproc::detail
