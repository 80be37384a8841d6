#include "serve.hpp"
#include "ticker.hpp"

#include <subproc/subproc.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <cerrno>
#include <cstddef>
#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace {

using namespace bench;

void expect_success(const subproc::exit_status& status) {
  if (!status.success()) {
    throw std::runtime_error("the child failed");
  }
}

/// The caller is held until the child has ended, so that there is no time of its own to tell.
samples run_blocking(const std::string& program, int count) {
  const subproc::command cmd(program);
  samples measured;
  for (int i = 0; i < count; ++i) {
    const auto start = now_ns();
    expect_success(subproc::run(cmd).status);
    measured.push_back({now_ns() - start, 0});
  }
  return measured;
}

/// Spawns on the loop's own thread, one child after the other.
asio::awaitable<void> spawn_on_loop(asio::io_context& context, const std::string& program,
                                    int count, samples& measured) {
  const subproc::command cmd(program);
  for (int i = 0; i < count; ++i) {
    const auto start = now_ns();
    std::int64_t held = 0;
    {
      subproc::process child(context, cmd);
      held = now_ns() - start;
      const subproc::exit_status status = co_await child.async_wait(asio::use_awaitable);
      expect_success(status);
    }
    measured.push_back({now_ns() - start, held});
  }
}

/// Spawns off the loop's thread by callbacks, one child after the other.
class async_spawn_chain {
public:
  async_spawn_chain(asio::io_context& context, const std::string& program, int count)
      : context_(context), cmd_(program), left_(count) {
    next();
  }

  bool done() const { return left_ == 0 || problem_; }

  const samples& measured() const {
    if (problem_) {
      std::rethrow_exception(problem_);
    }
    return measured_;
  }

private:
  void next() {
    start_ = now_ns();
    subproc::async_spawn(context_, cmd_, [this](std::exception_ptr error, subproc::process child) {
      spawned(std::move(error), std::move(child));
    });
    held_ = now_ns() - start_;
  }

  void spawned(std::exception_ptr error, subproc::process child) {
    if (error) {
      problem_ = std::move(error);
      return;
    }
    child_.emplace(std::move(child));
    child_->async_wait(
        [this](subproc::error_code ec, const subproc::exit_status& status) { ended(ec, status); });
  }

  void ended(subproc::error_code ec, const subproc::exit_status& status) {
    child_.reset();
    measured_.push_back({now_ns() - start_, held_});
    if (ec || !status.success()) {
      problem_ = std::make_exception_ptr(std::runtime_error("the child failed"));
    } else if (--left_ > 0) {
      next();
    }
  }

  asio::io_context& context_;
  subproc::command cmd_;
  std::optional<subproc::process> child_;
  samples measured_;
  std::exception_ptr problem_;
  std::int64_t start_ = 0;
  std::int64_t held_ = 0;
  int left_;
};

/// A loop with the children that live beside the measured ones, each of them waited for.
class loop_contestant {
public:
  samples run_coroutine(const std::string& program, int count) {
    samples measured;
    run_until_done(spawn_on_loop(context_, program, count, measured));
    return measured;
  }

  samples run_async_spawn(const std::string& program, int count) {
    context_.restart();
    const async_spawn_chain chain(context_, program, count);
    while (!chain.done()) {
      context_.run_one();
    }
    return chain.measured();
  }

  samples tick_beside_async_spawn(const std::string& program, int count) {
    context_.restart();
    ticker<asio::steady_timer> ticks(context_);
    const async_spawn_chain chain(context_, program, count);
    while (!chain.done()) {
      context_.run_one();
    }
    ticks.stop();
    context_.run();
    chain.measured();
    return ticks.ticks();
  }

  samples tick_on_loop(const std::string& program, int count) {
    samples measured;
    ticker<asio::steady_timer> ticks(context_);
    run_until_done(spawn_on_loop(context_, program, count, measured));
    ticks.stop();
    context_.run();
    return ticks.ticks();
  }

  void set_live(int count, const std::string& program) {
    const subproc::command cmd(program);
    while (waiting_ < count) {
      ++waiting_;
      live_.emplace_back(context_, cmd)
          .async_wait([this](subproc::error_code, const subproc::exit_status&) { --waiting_; });
    }
    context_.restart();
    context_.poll();
    while (count == 0 && waiting_ > 0) {
      context_.run_one();
    }
    if (count == 0) {
      live_.clear();
    }
  }

private:
  void run_until_done(asio::awaitable<void> job) {
    bool done = false;
    std::exception_ptr problem;
    context_.restart();
    asio::co_spawn(context_, std::move(job), [&](std::exception_ptr error) {
      done = true;
      problem = std::move(error);
    });
    while (!done) {
      context_.run_one();
    }
    if (problem) {
      std::rethrow_exception(problem);
    }
  }

  asio::io_context context_;
  std::list<subproc::process> live_;
  int waiting_ = 0;
};

/// From now on the kernel knows none of these calls.
void refuse(const std::vector<long>& calls) {
  std::vector<sock_filter> filter{{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)}};
  for (const long call : calls) {
    filter.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 1, static_cast<unsigned>(call)});
    filter.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS});
  }
  filter.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW});
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    throw_errno("seccomp");
  }
}

} // namespace

// "vfork": without clone3; "sigchld": without pidfds as well. The filters are of one length.
int main(int argc, char** argv) {
  const std::string lacking = argc > 1 ? argv[1] : "";
  if (lacking == "vfork") {
    refuse({SYS_clone3, SYS_acct});
  } else if (lacking == "sigchld") {
    refuse({SYS_clone3, SYS_pidfd_open});
  }
  const auto loop = std::make_shared<loop_contestant>();
  const auto of_loop = [loop](samples (loop_contestant::*member)(const std::string&, int)) {
    return [loop, member](const std::string& program, int count) {
      return ((*loop).*member)(program, count);
    };
  };
  service offered;
  const auto launcher = subproc::run(subproc::command("true")).launched_by;
  offered.version = std::string("subproc (launcher ") + subproc::to_string(launcher) + ')';
  offered.run["blocking"] = &run_blocking;
  offered.run["coroutine"] = of_loop(&loop_contestant::run_coroutine);
  offered.run["async_spawn"] = of_loop(&loop_contestant::run_async_spawn);
  offered.run["tick-async_spawn"] = of_loop(&loop_contestant::tick_beside_async_spawn);
  offered.run["tick-on-loop"] = of_loop(&loop_contestant::tick_on_loop);
  offered.live = [loop](int count, const std::string& program) { loop->set_live(count, program); };
  return serve(std::move(offered));
}
