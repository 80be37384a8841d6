// A child that is a thread: it does the steps of its script with the same pipes as a process would,
// and one poll(2) for the stream that it is at and for what may wake it.

#include "../fake_child.hpp"

#include "../platform.hpp"
#include "../redirects.hpp"
#include "plan.hpp"
#include "system.hpp"

#include <subproc/memory_file.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::size_t piece = 4096;     // PIPE_BUF: what poll calls writable takes it at once
constexpr int above_all_pids = 1 << 30; // pid_max is 4194304 at the most, proc(5)

[[noreturn]] void fail(spawn_step step) {
  throw spawn_error(error_code(errno, detail::system_category()), step, {});
}

struct two_ends {
  unique_handle read_end;
  unique_handle write_end;
};

two_ends open_ends() {
  int ends[2];
  if (sys::open_pipe(ends) < 0) {
    fail(spawn_step::pipe);
  }
  return {unique_handle(ends[0]), unique_handle(ends[1])};
}

// The caller's end of a pipe.
unique_handle not_blocking(unique_handle end) {
  if (::fcntl(end.get(), F_SETFL, O_NONBLOCK) < 0) {
    fail(spawn_step::pipe);
  }
  return end;
}

unique_handle duplicate_of(int descriptor) {
  unique_handle made(::fcntl(descriptor, F_DUPFD_CLOEXEC, 3));
  if (!made) {
    fail(spawn_step::dup2);
  }
  return made;
}

// None for what goes nowhere.
template <class Redirect>
unique_handle output_of(const Redirect& what, unique_handle& callers) {
  if (std::holds_alternative<piped_t>(what)) {
    two_ends made = open_ends();
    callers = not_blocking(std::move(made.read_end));
    return std::move(made.write_end);
  }
  if (const auto* descriptor = std::get_if<fd>(&what)) {
    return duplicate_of(descriptor->value);
  }
  if (const auto* path = std::get_if<file>(&what)) {
    return open_file(*path, false);
  }
  return {};
}

unique_handle input_of(const input_redirect& what, unique_handle& callers) {
  if (std::holds_alternative<piped_t>(what)) {
    two_ends made = open_ends();
    callers = not_blocking(std::move(made.write_end));
    return std::move(made.read_end);
  }
  if (const auto* descriptor = std::get_if<fd>(&what)) {
    return duplicate_of(descriptor->value);
  }
  if (const auto* path = std::get_if<file>(&what)) {
    return open_file(*path, true);
  }
  if (const auto* bytes = std::get_if<memory>(&what)) {
    return memory_file(bytes->bytes);
  }
  return {};
}

// What does nothing to a program by default, and what would halt it: there is nothing to halt.
bool ends_nobody(int number) noexcept {
  constexpr int these[] = {SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
  return std::ranges::find(these, number) != std::end(these);
}

} // namespace

/// What the child object and the thread share.
class fake_run final : public fake_sleeper {
public:
  fake_run(testing::script what, std::shared_ptr<fake_clock> clock,
           std::shared_ptr<fake_record> record)
      : script_(std::move(what)), clock_(std::move(clock)), record_(std::move(record)) {
    two_ends waking = open_ends();
    wake_ = not_blocking(std::move(waking.write_end));
    woken_ = not_blocking(std::move(waking.read_end));
    two_ends life = open_ends();
    living_ = std::move(life.write_end);
    ended_ = std::move(life.read_end);
  }

  void open_streams(const command& cmd, launched_child& callers) {
    in_ = input_of(effective_in(cmd), callers.in);
    out_ = output_of(effective_out(cmd), callers.out);
    const error_redirect err = effective_err(cmd);
    if (std::holds_alternative<merge_t>(err)) {
      err_ = out_ ? duplicate_of(out_.get()) : unique_handle();
    } else {
      err_ = output_of(err, callers.err);
    }
  }

  native_handle_type exit_handle() const noexcept { return ended_.get(); }

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
    const bool ignored = ends_nobody(number) ||
                         std::ranges::find(script_.ignored_, number) != script_.ignored_.end();
    if (number == SIGKILL || !ignored) {
      killed_ = exit_status::from_signal(number);
      wake();
    }
  }

  void wake() noexcept override {
    [[maybe_unused]] const ssize_t n = ::write(wake_.get(), "", 1); // full: it is awake enough
  }

  /// The thread's. The exit shows when the returned handle is closed.
  unique_handle run() {
    const exit_status how = play();
    in_.reset();
    out_.reset();
    err_.reset();
    const std::lock_guard lock(mutex_);
    status_ = how;
    const std::lock_guard its(record_->mutex);
    record_->call.status = how;
    return std::move(living_);
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
    return write(what.to_err ? err_ : out_, what.bytes);
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
    const auto due = what.time->after(steady_clock::time_point(clock_->now())).time_since_epoch();
    clock_->add(*this, due);
    const struct removal {
      fake_run& self;
      ~removal() { self.clock_->remove(self); }
    } after{*this};
    while (clock_->now() < due) {
      if (const auto end = wait_for(-1, 0, steady_clock::time_point::max())) {
        return end;
      }
    }
    return std::nullopt;
  }

  std::optional<exit_status> sleep_until(steady_clock::time_point when) {
    while (steady_clock::now() < when) {
      if (const auto end = wait_for(-1, 0, when)) {
        return end;
      }
    }
    return std::nullopt;
  }

  std::optional<exit_status> write(const unique_handle& to, std::string_view bytes) {
    while (to && !bytes.empty()) {
      if (const auto end = wait_for(to.get(), POLLOUT, steady_clock::time_point::max())) {
        return end;
      }
      if (!can_go_on_) {
        continue;
      }
      const ssize_t n = ::write(to.get(), bytes.data(), std::min(bytes.size(), piece));
      if (n < 0 && errno == EPIPE) {
        return exit_status::from_signal(SIGPIPE);
      }
      if (n < 0 && errno != EAGAIN && errno != EINTR) {
        return std::nullopt; // a program would complain, and this one has nobody to complain to
      }
      bytes.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    }
    return killed();
  }

  std::optional<exit_status> read(bool echo) {
    std::string block(16 * piece, '\0');
    while (in_) {
      if (const auto end = wait_for(in_.get(), POLLIN, steady_clock::time_point::max())) {
        return end;
      }
      if (!can_go_on_) {
        continue;
      }
      const ssize_t n = ::read(in_.get(), block.data(), block.size());
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        continue;
      }
      if (n <= 0) {
        break;
      }
      const std::string_view got(block.data(), static_cast<std::size_t>(n));
      {
        const std::lock_guard its(record_->mutex);
        record_->call.input += got;
      }
      if (const auto end = echo ? write(out_, got) : std::nullopt) {
        return end;
      }
    }
    return killed();
  }

  // Until the descriptor is ready, which can_go_on_ tells, or something wakes this. Returns the end
  // when that was a signal.
  std::optional<exit_status> wait_for(int descriptor, short events,
                                      steady_clock::time_point until) {
    if (const auto end = killed()) {
      return end;
    }
    int timeout = -1;
    if (until != steady_clock::time_point::max()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - steady_clock::now());
      timeout = static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(
          left.count(), 0, std::numeric_limits<int>::max()));
    }
    pollfd entries[] = {{woken_.get(), POLLIN, 0}, {descriptor, events, 0}};
    ::poll(entries, 2, timeout);
    if (entries[0].revents != 0) {
      char wakes[64];
      while (::read(woken_.get(), wakes, sizeof wakes) > 0) {
      }
    }
    can_go_on_ = entries[1].revents != 0;
    return killed();
  }

  const testing::script script_;
  const std::shared_ptr<fake_clock> clock_;
  const std::shared_ptr<fake_record> record_;
  unique_handle wake_;
  unique_handle woken_;
  unique_handle ended_;
  unique_handle in_;
  unique_handle out_;
  unique_handle err_;
  bool can_go_on_ = false;

  mutable std::mutex mutex_; ///< of what follows; before that of a record
  unique_handle living_;
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
      run_->signal(SIGKILL);
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
  auto run = std::make_shared<fake_run>(std::move(what), std::move(clock), std::move(record));
  run->open_streams(cmd, started);
  started.child = std::make_unique<fake_child>(run);
  try {
    start_background_thread([run]() mutable {
      const unique_handle living = run->run();
      run.reset(); // before the exit can be seen: then nothing of this is left
    });
  } catch (const system_error& error) {
    throw spawn_error(error.code(), spawn_step::fork, {}, "no thread can be had for a fake child");
  }
  return started;
}

} // namespace subproc::detail
