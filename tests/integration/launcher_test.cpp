// Launchers and children of a user's own, as a program's tests would have them: no process at all.

#include <subproc/launcher.hpp>
#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

constexpr int sigkill = 9;

/// What a fake child has been asked, and how it answers.
struct script {
  std::vector<int> signals;
  std::function<void(script&, int)> on_signal = [](script& self, int number) {
    self.end(exit_status::from_signal(number));
  };
  std::function<void(script&)> on_scope_look = [](script&) {};
  bool tells_its_end = true; ///< whether the exit handle tells it
  std::optional<exit_status> status;
  told_once over;

  void end(exit_status how) {
    status = how;
    if (tells_its_end) {
      over.tell();
    }
  }
};

class scripted_child final : public child {
public:
  explicit scripted_child(std::shared_ptr<script> how) : script_(std::move(how)) {}

  pid_type pid() const noexcept override { return -1; }
  native_handle_type exit_handle() const noexcept override { return script_->over.handle(); }
  bool exit_handle_is_process() const noexcept override { return false; }
  std::optional<exit_report> try_wait() noexcept override {
    return script_->status ? std::optional(exit_report{*script_->status, {}}) : std::nullopt;
  }
  error_code signal(int number, scope) noexcept override {
    script_->signals.push_back(number);
    script_->on_signal(*script_, number);
    return {};
  }
  bool scope_empty(scope) noexcept override {
    script_->on_scope_look(*script_);
    return script_->status.has_value();
  }
  std::vector<int> scope_members(scope) override { return {}; }
  unique_handle release() noexcept override { return {}; }

private:
  std::shared_ptr<script> script_;
};

/// Its children write the words of their command and exit with 0, unless a script says otherwise.
class fake_launcher final : public launcher {
public:
  explicit fake_launcher(std::shared_ptr<script> how = nullptr) : script_(std::move(how)) {}

  launched_child start(const command& cmd) override {
    started.push_back(to_string(cmd)); // not the command, which owns this launcher
    launched_child made;
    const auto how = script_ ? script_ : std::make_shared<script>();
    made.child = std::make_unique<scripted_child>(how);
    if (cmd.out() == output_redirect(piped)) {
      test_pipe out;
      REQUIRE(write_text(out, to_string(cmd) + '\n'));
      made.out = std::move(out.read_end);
    }
    if (!script_) {
      how->end(exit_status::from_code(0));
    }
    return made;
  }

  std::vector<std::string> started;

private:
  std::shared_ptr<script> script_;
};

} // namespace

TEST_SUITE("launcher") {

  TEST_CASE("launcher: the run family works with children that are no processes") {
    const leak_check leaks;
    const auto fake = std::make_shared<fake_launcher>();
    const command cmd = command("deploy", "to production").out(piped).launcher(fake);
    const completed_process done = run(cmd);
    CHECK(done.status == exit_status::from_code(0));
    CHECK(done.out == "deploy 'to production'\n");
    CHECK(done.launched_by == launcher_kind::custom);
    CHECK(done.pid == -1);

    asio::io_context context;
    int calls = 0;
    async_run(context, cmd, [&](std::exception_ptr error, const completed_process& result) {
      ++calls;
      CHECK_FALSE(error);
      CHECK(result.out == done.out);
    });
    context.run();
    CHECK(calls == 1);
    CHECK(fake->started == std::vector(2, to_string(cmd)));
  }

  TEST_CASE("launcher: a time-out stops a fake child with the signals it would send") {
    const leak_check leaks;
    const auto how = std::make_shared<script>();
    const auto fake = std::make_shared<fake_launcher>(how);
    CHECK_THROWS_AS(run(command("server").timeout(1ms).launcher(fake)), timeout_expired);
    CHECK(how->signals == std::vector{sigkill});
  }

  TEST_CASE("launcher: a child that runs is killed at the drop, one that has ended gets no signal "
            "[K129]") {
    const leak_check leaks;
    asio::io_context context;
    for (const bool ended : {false, true}) {
      const auto how = std::make_shared<script>();
      {
        process child(context, command("server").launcher(std::make_shared<fake_launcher>(how)));
        if (ended) {
          how->end(exit_status::from_code(7));
          CHECK(child.wait() == exit_status::from_code(7));
        }
      }
      CHECK(how->signals == (ended ? std::vector<int>() : std::vector{sigkill}));
    }
  }

  TEST_CASE("launcher: an exit that the look at the scope finds is in the stop's result") {
    const leak_check leaks;
    const auto how = std::make_shared<script>();
    how->on_signal = [](script&, int) {};
    how->on_scope_look = [](script& self) { self.end(exit_status::from_code(7)); };
    how->tells_its_end = false;
    asio::io_context context;
    process child(context, command("server").launcher(std::make_shared<fake_launcher>(how)));
    stop_result stopped;
    int waits = 0;
    child.async_wait([&](error_code, exit_status status) {
      ++waits;
      CHECK(status == exit_status::from_code(7));
    });
    child.async_stop(1ms, [&](error_code ec, stop_result result) {
      CHECK_FALSE(ec);
      stopped = std::move(result);
    });
    context.run();
    CHECK(stopped.status == exit_status::from_code(7));
    CHECK(waits == 1);
    CHECK(child.status() == exit_status::from_code(7));
  }

} // TEST_SUITE
