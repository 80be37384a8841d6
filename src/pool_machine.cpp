#include "pool_machine.hpp"

#include <cmath>
#include <functional>
#include <thread>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::size_t ahead_a_slot = 16;
constexpr unsigned most_refusals = 8; // 100 ms, 200 ms … 12.8 s: 25 s with nothing else to do
constexpr std::chrono::milliseconds first_pause(100);
constexpr std::uint64_t enough_for_share = 3; // of the first two jobs every share is large
constexpr std::uint64_t enough_for_median = 3;

constexpr auto never = steady_clock::time_point::max();

} // namespace

std::size_t one_a_core(std::size_t concurrency) noexcept {
  return concurrency != 0 ? concurrency : std::max(1U, std::thread::hardware_concurrency());
}

// As std::push_heap wants it: true when `a` comes after `b`.
auto pool_machine::queue_order() const noexcept {
  return [this](slot a, slot b) {
    const record& x = jobs_[a];
    const record& y = jobs_[b];
    return x.priority != y.priority ? x.priority < y.priority : x.sequence > y.sequence;
  };
}

auto pool_machine::due_order() const noexcept {
  return [this](slot a, slot b) { return jobs_[a].due > jobs_[b].due; };
}

auto pool_machine::delivery_order() const noexcept {
  return [this](slot a, slot b) { return jobs_[a].delivery > jobs_[b].delivery; };
}

pool_machine::pool_machine(const pool_options& options, std::uint64_t seed)
    : concurrency_(std::max<std::size_t>(1, options.concurrency)), keep_order_(options.keep_order),
      timeout_factor_(options.timeout_factor), retry_(options.retry), halt_(options.halt),
      random_(seed) {
  if (options.rate > 0) {
    interval_ = duration(std::chrono::duration<double>(1 / options.rate)).count();
    burst_ = duration(std::chrono::duration<double>(
                          static_cast<double>(std::max<std::size_t>(1, options.burst) - 1) /
                          options.rate))
                 .count();
  }
}

bool pool_machine::has_room() const noexcept {
  return summary_.running < std::min({concurrency_, room_, window_});
}

bool pool_machine::could_start(time_point now) {
  now_ = now;
  queue_due(now);
  const std::size_t in_use = jobs_.size() - free_.size();
  const bool from_source = !ended_ && !source_waits_ && in_use < concurrency_ * ahead_a_slot;
  return (!queued_.empty() || from_source) && now >= gate();
}

bool pool_machine::wants_window(time_point now) {
  return could_start(now) && summary_.running < std::min(concurrency_, room_);
}

bool pool_machine::wants_command(time_point now) {
  return could_start(now) && queued_.empty() && has_room();
}

std::optional<pool_machine::slot> pool_machine::take_start(time_point now) {
  if (!could_start(now) || queued_.empty() || !has_room()) {
    return std::nullopt;
  }
  std::pop_heap(queued_.begin(), queued_.end(), queue_order());
  const slot next = queued_.back();
  queued_.pop_back();
  record& taken = jobs_[next];
  if (++taken.tries == 1) {
    ++summary_.started;
  } else {
    ++summary_.retried;
  }
  if (free_places_.empty()) {
    free_places_.reserve(++places_);
    free_places_.push_back(places_);
  }
  std::ranges::pop_heap(free_places_, std::greater());
  taken.place = free_places_.back();
  free_places_.pop_back();
  ++summary_.running;
  next_start_ = std::max(next_start_, now) + interval_;
  return next;
}

std::optional<pool_machine::slot> pool_machine::take_deliverable() {
  if (over_.empty() || (keep_order_ && jobs_[over_.front()].delivery != delivered_ + 1)) {
    return std::nullopt;
  }
  std::pop_heap(over_.begin(), over_.end(), delivery_order());
  const slot next = over_.back();
  over_.pop_back();
  ++delivered_;
  free_.push_back(next);
  return next;
}

bool pool_machine::take_stop_order() noexcept { return std::exchange(stop_order_, false); }

pool_machine::time_point pool_machine::wakes_at() const noexcept {
  const time_point due = waiting_.empty() ? never : jobs_[waiting_.front()].due;
  const bool gated =
      gate() > now_ && has_room() && (!queued_.empty() || !(ended_ || source_waits_));
  return gated ? std::min(due, gate()) : due;
}

std::optional<duration> pool_machine::time_limit() const noexcept {
  if (!timeout_factor_ || times_.count() < enough_for_median) {
    return std::nullopt;
  }
  return duration(std::chrono::duration<double>(times_.median().seconds() * *timeout_factor_));
}

pool_machine::slot pool_machine::admitted(int priority) {
  if (free_.empty()) {
    free_.push_back(static_cast<slot>(jobs_.size()));
    jobs_.emplace_back();
    // Whatever comes, a job that ends is put away without asking for memory.
    for (std::vector<slot>* each : {&free_, &queued_, &waiting_, &over_}) {
      each->reserve(jobs_.capacity());
    }
  }
  const slot next = free_.back();
  free_.pop_back();
  jobs_[next] = {};
  jobs_[next].sequence = ++last_sequence_;
  jobs_[next].priority = priority;
  if (summary_.halted) {
    end(next);
    count(false);
  } else {
    enqueue(next);
  }
  return next;
}

void pool_machine::set_concurrency(std::size_t most) noexcept {
  concurrency_ = std::max<std::size_t>(1, most);
}

bool pool_machine::refused(slot which, time_point now) {
  record& job = jobs_[which];
  if (summary_.running == 1 && ++job.refusals > most_refusals) {
    return false;
  }
  ++summary_.refused;
  stopped_running(job);
  if (--job.tries == 0) {
    --summary_.started;
  } else {
    --summary_.retried;
  }
  room_ = std::max<std::size_t>(1, summary_.running);
  fine_starts_ = 0;
  if (summary_.running == 0) {
    not_before_ = now + first_pause * (1U << (job.refusals - 1));
  }
  if (summary_.halted) {
    end(which);
    count(false);
  } else {
    enqueue(which);
  }
  return true;
}

bool pool_machine::finished(slot which, failure_kind why, duration took, time_point now) {
  record& job = jobs_[which];
  stopped_running(job);
  if (why != failure_kind::spawn && ++fine_starts_ >= room_) {
    fine_starts_ = 0;
    room_ = room_ < concurrency_ ? room_ + 1 : static_cast<std::size_t>(-1);
  }
  if (why == failure_kind::none) {
    times_.add(took);
  }
  const bool again = why != failure_kind::none && why != failure_kind::cancelled &&
                     contains(retry_.on, why) && job.tries <= retry_.retries && !summary_.halted;
  if (again) {
    job.refusals = 0;
    job.due = duration(delay_before(job.tries + 1)).after(now);
    waiting_.push_back(which);
    std::push_heap(waiting_.begin(), waiting_.end(), due_order());
    return false;
  }
  end(which);
  count(why == failure_kind::none);
  const bool counts =
      why != failure_kind::cancelled &&
      (halt_.on == halt_policy::outcome::done ||
       (halt_.on == halt_policy::outcome::succeeded) == (why == failure_kind::none));
  if (counts && halt_.what != halt_policy::action::never && !summary_.halted) {
    const std::uint64_t all = summary_.succeeded + summary_.failed;
    const std::uint64_t such = halt_.on == halt_policy::outcome::done        ? all
                               : halt_.on == halt_policy::outcome::succeeded ? summary_.succeeded
                                                                             : summary_.failed;
    const bool enough =
        halt_.percent ? such >= enough_for_share && static_cast<double>(such) * 100 >=
                                                        *halt_.percent * static_cast<double>(all)
                      : such >= halt_.count;
    if (enough) {
      stop_order_ = halt_.what == halt_policy::action::now;
      halt();
    }
  }
  return true;
}

bool pool_machine::cancelled(slot which) {
  for (std::vector<slot>* heap : {&queued_, &waiting_}) {
    if (std::erase(*heap, which) != 0) {
      if (heap == &queued_) {
        std::make_heap(heap->begin(), heap->end(), queue_order());
      } else {
        std::make_heap(heap->begin(), heap->end(), due_order());
      }
      end(which);
      count(false);
      return true;
    }
  }
  return false;
}

void pool_machine::halt() {
  summary_.halted = ended_ = true;
  end_all(queued_);
  end_all(waiting_);
}

pool_summary pool_machine::summary() const noexcept {
  pool_summary all = summary_;
  all.queued = queued_.size();
  all.waiting = waiting_.size();
  all.window = std::min({concurrency_, room_, window_});
  all.median = times_.median();
  all.longest = times_.longest();
  return all;
}

void pool_machine::enqueue(slot which) {
  queued_.push_back(which);
  std::push_heap(queued_.begin(), queued_.end(), queue_order());
}

void pool_machine::queue_due(time_point now) {
  while (!waiting_.empty() && jobs_[waiting_.front()].due <= now) {
    std::pop_heap(waiting_.begin(), waiting_.end(), due_order());
    const slot next = waiting_.back();
    waiting_.pop_back();
    enqueue(next);
  }
}

void pool_machine::stopped_running(record& job) {
  --summary_.running;
  free_places_.push_back(job.place);
  std::ranges::push_heap(free_places_, std::greater());
}

void pool_machine::end(slot which) {
  record& job = jobs_[which];
  job.delivery = keep_order_ ? job.sequence : ++ends_;
  over_.push_back(which);
  std::push_heap(over_.begin(), over_.end(), delivery_order());
}

void pool_machine::end_all(std::vector<slot>& jobs) {
  for (const slot each : jobs) {
    end(each);
    count(false);
  }
  jobs.clear();
}

void pool_machine::count(bool success) { ++(success ? summary_.succeeded : summary_.failed); }

duration pool_machine::delay_before(unsigned number) {
  const double first = retry_.delay.seconds();
  const double grown = first * std::pow(retry_.factor, static_cast<double>(number) - 2);
  const double most = std::min(grown, retry_.longest_delay.seconds());
  return std::chrono::duration<double>(most * (1 - retry_.jitter * random()));
}

// SplitMix64: from 0 to below 1.
double pool_machine::random() noexcept {
  std::uint64_t x = random_ += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return static_cast<double>((x ^ (x >> 31U)) >> 11U) * 0x1.0p-53;
}

} // namespace subproc::detail
