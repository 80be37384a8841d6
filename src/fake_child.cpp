// A child that is a thread: it does the steps of its script with the same pipes as a process would.

#include "fake_child.hpp"

#include "fake_streams.hpp"
#include "platform.hpp"

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::size_t block_size = 64 * 1024;
constexpr int above_all_pids = 1 << 30; // Linux: at most 4194304, proc(5); Windows: small too

} // namespace

/// What the child object and the thread share.
class fake_run final {
public:
  fake_run(testing::script what, std::shared_ptr<fake_clock> clock,
           std::shared_ptr<fake_record> record)
      : script_(std::move(what)), clock_(std::move(clock)), record_(std::move(record)),
        exit_(make_fake_exit()) {}

  void open_streams(const command& cmd, launched_child& callers) {
    streams_ = open_fake_streams(cmd, callers);
  }

  native_handle_type exit_handle() const noexcept { return exit_.told.get(); }

  std::optional<exit_status> status() const noexcept {
    const std::lock_guard lock(mutex_);
    return status_;
  }

  void signal(int number) {
    const std::lock_guard lock(mutex_);
    if (status_ || killed_ || number == 0) { // a dying process takes no more
      return;
    }
    {
      const std::lock_guard its(record_->mutex);
      record_->call.signals.push_back(number);
    }
    const bool ignored = !ends_a_program(number) ||
                         std::ranges::find(script_.ignored_, number) != script_.ignored_.end();
    if (number == kill_signal || !ignored) {
      killed_ = ended_by(number);
      streams_->end();
    }
  }

  /// The thread's. The exit shows when the returned handle has told it.
  unique_handle run() {
    const exit_status how = play();
    streams_->close();
    const std::lock_guard lock(mutex_);
    status_ = how;
    const std::lock_guard its(record_->mutex);
    record_->call.status = how;
    return std::move(exit_.teller);
  }

private:
  std::optional<exit_status> killed() const noexcept {
    const std::lock_guard lock(mutex_);
    return killed_;
  }

  exit_status play() {
    for (const auto& step : script_.steps_) {
      const auto end = std::visit([this](const auto& what) { return act(what); }, step);
      if (end) {
        return *end;
      }
    }
    return killed().value_or(script_.end_);
  }

  // Each returns how the child has ended in it, if it has.

  std::optional<exit_status> act(const testing::script::write& what) {
    return write(what.to_err, what.bytes);
  }

  std::optional<exit_status> act(const testing::script::read_all&) { return read(false); }
  std::optional<exit_status> act(const testing::script::echo_all&) { return read(true); }

  std::optional<exit_status> act(const testing::script::wait& what) {
    if (!what.time) {
      return sleep_until(steady_clock::time_point::max());
    }
    if (!clock_) {
      return sleep_until(what.time->after(steady_clock::now()));
    }
    const auto due = what.time->after(clock_->now());
    const auto alarm = clock_->call_at(due, [this] { streams_->wake(); });
    while (!killed() && clock_->now() < due) {
      streams_->wait(steady_clock::time_point::max());
    }
    return killed();
  }

  std::optional<exit_status> sleep_until(steady_clock::time_point when) {
    while (!killed() && steady_clock::now() < when) {
      streams_->wait(when);
    }
    return killed();
  }

  std::optional<exit_status> write(bool to_err, std::string_view bytes) {
    while (!killed()) {
      error_code ec;
      const std::size_t n = streams_->write(to_err, bytes, ec);
      if (ec == asio::error::broken_pipe) {
        return killed().value_or(ended_by_broken_pipe());
      }
      if ((ec && ec != asio::error::would_block) || (!ec && bytes.empty())) {
        break; // a program would complain of an error, and this one has nobody to complain to
      }
      bytes.remove_prefix(n);
    }
    return killed();
  }

  std::optional<exit_status> read(bool echo) {
    std::string block(block_size, '\0');
    while (!killed()) {
      error_code ec;
      const std::size_t n = streams_->read(block.data(), block.size(), ec);
      if (ec == asio::error::would_block) {
        continue;
      }
      if (ec) {
        break;
      }
      const std::string_view got(block.data(), n);
      {
        const std::lock_guard its(record_->mutex);
        record_->call.input += got;
      }
      if (const auto end = echo ? write(false, got) : std::nullopt) {
        return end;
      }
    }
    return killed();
  }

  const testing::script script_;
  const std::shared_ptr<fake_clock> clock_;
  const std::shared_ptr<fake_record> record_;
  std::unique_ptr<fake_streams> streams_;

  mutable std::mutex mutex_; ///< of what follows; before that of a record
  fake_exit exit_;
  std::optional<exit_status> killed_;
  std::optional<exit_status> status_;
};

namespace {

class fake_child final : public child {
public:
  explicit fake_child(std::shared_ptr<fake_run> run)
      : run_(std::move(run)), pid_(above_all_pids + next_number()) {}
  ~fake_child() override {
    if (!released_) {
      run_->signal(kill_signal);
    }
  }

  pid_type pid() const noexcept override { return pid_; }
  native_handle_type exit_handle() const noexcept override { return run_->exit_handle(); }
  bool exit_handle_is_process() const noexcept override { return false; }

  std::optional<exit_report> try_wait() noexcept override {
    const auto status = run_->status();
    return status ? std::optional(exit_report{*status, {}}) : std::nullopt;
  }

  error_code signal(int number, scope) noexcept override {
    run_->signal(number);
    return {};
  }

  bool scope_empty(scope) noexcept override { return run_->status().has_value(); }
  std::vector<int> scope_members(scope) override {
    return run_->status() ? std::vector<int>() : std::vector<int>{pid_};
  }

  unique_handle release() noexcept override {
    released_ = true;
    return {};
  }

private:
  static int next_number() noexcept {
    static std::atomic<int> last = 0;
    return ++last;
  }

  std::shared_ptr<fake_run> run_;
  pid_type pid_;
  bool released_ = false;
};

} // namespace

launched_child start_fake(const command& cmd, testing::script what,
                          std::shared_ptr<fake_clock> clock, std::shared_ptr<fake_record> record) {
  launched_child started;
  started.clock = clock;
  auto run = std::make_shared<fake_run>(std::move(what), std::move(clock), std::move(record));
  run->open_streams(cmd, started);
  started.child = std::make_unique<fake_child>(run);
  try {
    start_background_thread([run]() mutable {
      unique_handle teller = run->run();
      run.reset(); // before the exit can be seen: then nothing of this is left
      tell_exit(std::move(teller));
    });
  } catch (const system_error& error) {
    throw spawn_error(error.code(), spawn_step::fork, {}, "no thread can be had for a fake child");
  }
  return started;
}

} // namespace subproc::detail
