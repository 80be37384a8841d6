#include <subproc/testing.hpp>

#include "fake_child.hpp"
#include "fake_streams.hpp"
#include "usual_launcher.hpp"

#include <algorithm>
#include <utility>

namespace SUBPROC_NAMESPACE {
namespace detail {

void fake_clock::advance(duration by) {
  decltype(waiting_) over; // outlives the lock: what is called may own anything
  const std::lock_guard lock(mutex_);
  now_ = by.after(now_);
  while (!waiting_.empty() && waiting_.begin()->first.first <= now_) {
    waiting_.begin()->second();
    over.insert(waiting_.extract(waiting_.begin()));
  }
}

duration fake_clock::passed() const { return now() - begin_; }

std::size_t fake_clock::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

steady_clock::time_point fake_clock::now() const noexcept {
  const std::lock_guard lock(mutex_);
  return now_;
}

std::shared_ptr<void> fake_clock::call_at(steady_clock::time_point when,
                                          std::function<void()> wake) {
  key which(when, 0);
  {
    const std::lock_guard lock(mutex_);
    if (when <= now_) {
      wake();
      return nullptr;
    }
    which.second = ++last_;
    waiting_.emplace(which, std::move(wake));
  }
  return {this, [self = shared_from_this(), which](fake_clock*) { self->forget(which); }};
}

void fake_clock::forget(const key& which) noexcept {
  decltype(waiting_)::node_type gone; // as in advance
  const std::lock_guard lock(mutex_);
  gone = waiting_.extract(which);
}

void fake_clock::wait_ready(std::span<wait_entry> entries, steady_clock::time_point until,
                            steady_clock::time_point steady_until) {
  if (until == steady_clock::time_point::max()) {
    detail::wait_ready(entries, steady_until);
    return;
  }
  const auto come = std::make_shared<fake_exit>(make_fake_exit());
  const auto alarm = call_at(until, [come] { tell_exit(std::move(come->teller)); });
  std::vector<wait_entry> all(entries.begin(), entries.end());
  all.push_back({come->told.get()});
  detail::wait_ready(all, steady_until);
  std::copy_n(all.begin(), entries.size(), entries.begin());
}

} // namespace detail

namespace testing {
namespace {

bool begins_with(const command& cmd, const std::vector<std::string>& beginning) {
  return cmd.args().size() >= beginning.size() &&
         std::equal(beginning.begin(), beginning.end(), cmd.args().begin());
}

} // namespace

manual_clock::manual_clock() : clock_(std::make_shared<detail::fake_clock>()) {}

void manual_clock::advance(duration by) { clock_->advance(by); }

duration manual_clock::now() const { return clock_->passed(); }

std::size_t manual_clock::waiting() const { return clock_->waiting(); }

struct fake_launcher::state {
  struct rule {
    std::function<bool(const command&)> picks;
    script what;
  };

  std::shared_ptr<detail::fake_clock> clock;
  mutable std::mutex mutex;
  std::vector<rule> rules;
  std::vector<std::shared_ptr<detail::fake_record>> records;
};

fake_launcher::fake_launcher() : state_(std::make_unique<state>()) {}

fake_launcher::fake_launcher(const manual_clock& clock) : fake_launcher() {
  state_->clock = clock.clock_;
}

fake_launcher::~fake_launcher() = default;

fake_launcher& fake_launcher::on(const command& beginning, script what) {
  return on([args = beginning.args()](const command& cmd) { return begins_with(cmd, args); },
            std::move(what));
}

fake_launcher& fake_launcher::on(std::function<bool(const command&)> picks, script what) {
  const std::lock_guard lock(state_->mutex);
  state_->rules.push_back({std::move(picks), std::move(what)});
  return *this;
}

launched_child fake_launcher::start(const command& cmd) {
  const auto record = std::make_shared<detail::fake_record>();
  record->call.cmd = cmd;
  record->call.cmd.launcher(nullptr); // it would own this
  std::vector<state::rule> rules;
  {
    const std::lock_guard lock(state_->mutex);
    state_->records.push_back(record);
    rules = state_->rules; // the functions are the test's and may do anything
  }
  const auto fits = [&cmd](const state::rule& rule) { return rule.picks(cmd); };
  const auto found = std::find_if(rules.rbegin(), rules.rend(), fits);
  const std::string& program = cmd.executable().value_or(cmd.args().front());
  if (found == rules.rend()) {
    throw spawn_error(detail::generic_error(std::errc::no_such_file_or_directory), spawn_step::exec,
                      program, "no script of the fake launcher is for it");
  }
  if (const auto& failure = found->what.failure_) {
    throw spawn_error(detail::generic_error(failure->first), failure->second, program);
  }
  return detail::start_fake(cmd, std::move(found->what), state_->clock, record);
}

std::vector<fake_call> fake_launcher::calls() const {
  std::vector<fake_call> all;
  const std::lock_guard lock(state_->mutex);
  for (const auto& record : state_->records) {
    const std::lock_guard its(record->mutex);
    all.push_back(record->call);
  }
  return all;
}

use_launcher::use_launcher(std::shared_ptr<launcher> who) {
  if (!detail::replace_usual_launcher(std::move(who))) {
    throw system_error(detail::generic_error(std::errc::operation_in_progress),
                       "use_launcher: another one is there");
  }
}

use_launcher::~use_launcher() { detail::replace_usual_launcher(nullptr); }

} // namespace testing
} // namespace subproc
