#include <subproc/audit.hpp>
#include <subproc/pool.hpp>
#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "audit_recorder.hpp"
#include "children.hpp"
#include "own_process.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

TEST_SUITE("audit") {

  TEST_CASE("audit: a hook sees program, argv, cwd and env before anything is started, on the "
            "thread that asked [K150]") {
    if (!in_own_process()) {
      return;
    }
    warm_up();
    recorder& events = record();
    bool early = true;
    const std::string folder = std::filesystem::temp_directory_path().string();
    add_audit_hook([&early, &folder](const audit_event& event) {
      if (event.kind == spawn) {
        early = early && !has_children();
        CHECK(event.executable() == helper("steps"));
        CHECK(event.args() == std::vector<std::string>{helper("steps"), "exit:3"});
        CHECK(event.cwd() == folder);
        REQUIRE(event.env());
        CHECK(event.env()->get("A") == "b");
      }
    });
    events.take();
    const command cmd = steps({"exit:3"}).cwd(folder).env(environment{{"A", "b"}});
    for (const start_form& each : all_ways()) {
      CAPTURE(each.name);
      each.start(cmd);
      const std::vector<seen_event> seen = events.take();
      REQUIRE(seen.size() == 3);
      CHECK(seen[0].kind == spawn);
      CHECK(seen[0].thread == std::this_thread::get_id());
      CHECK(seen[0].pid == -1);
      CHECK(seen[1].kind == started);
      CHECK(seen[1].pid > 0);
      CHECK(seen[1].launched_by != launcher_kind::none);
      CHECK(seen[2].kind == exited);
      CHECK(seen[2].pid == seen[1].pid);
      CHECK(seen[2].launched_by == seen[1].launched_by);
      CHECK(seen[2].status == exit_status::from_code(3));
      CHECK(seen[2].elapsed > 0ns);
      for (const seen_event& event : seen) {
        CHECK(event.id == seen[0].id);
        CHECK(event.cmd.args() == cmd.args());
      }
    }
    CHECK(early);
  }

  TEST_CASE("audit: bad arguments raise no event [C72]") {
    if (!in_own_process()) {
      return;
    }
    recorder& events = record();
    for (const start_form& each : all_ways()) {
      CAPTURE(each.name);
      CHECK_THROWS_AS(each.start(command()), spawn_error);
      CHECK(events.take().empty());
    }
  }

  TEST_CASE("audit: the first hook that throws prevents the spawn, and its exception comes out as "
            "it is [K150]") {
    if (!in_own_process()) {
      return;
    }
    recorder& before = record();
    add_audit_hook([](const audit_event& event) {
      if (event.kind == spawn && event.executable() == "false") {
        throw veto();
      }
    });
    add_audit_hook([](const audit_event& event) {
      if (event.kind == spawn && event.executable() == "false") {
        throw std::logic_error("came too late");
      }
    });
    recorder& after = record();
    const leak_check leaks;
    for (const start_form& each : all_ways()) {
      CAPTURE(each.name);
      before.take();
      after.take();
      CHECK_THROWS_AS(each.start(command("false").in(piped).capture_output()), veto);
      CHECK(before.take_kinds() == kinds{spawn});
      CHECK(after.take().empty());
      each.start(quiet());
      CHECK(after.take_kinds() == kinds{spawn, started, exited});
    }
  }

  TEST_CASE("audit: adding a hook is an event, and an older hook that throws keeps the new one "
            "out [C72]") {
    if (!in_own_process()) {
      return;
    }
    std::string log;
    bool refuses = false;
    add_audit_hook([&](const audit_event& event) {
      log += event.kind == audit_kind::hook_added ? '+' : '1';
      if (refuses && event.kind == audit_kind::hook_added) {
        throw veto();
      }
    });
    CHECK(log.empty());
    add_audit_hook([&](const audit_event&) { log += '2'; });
    CHECK(log == "+");
    refuses = true;
    add_audit_hook([&](const audit_event&) { log += '3'; });
    CHECK(log == "++");
    log.clear();
    run(quiet());
    CHECK(log == "121212"); // spawn, started, exited, in the order of adding
  }

  TEST_CASE("audit: a spawn that fails is seen before and after [K150]") {
    if (!in_own_process()) {
      return;
    }
    recorder& events = record();
    const leak_check leaks;
    for (const start_form& each : all_ways()) {
      CAPTURE(each.name);
      events.take();
      CHECK_THROWS_AS(each.start({"no-such-program"}), spawn_error);
      const std::vector<seen_event> seen = events.take();
      REQUIRE(seen.size() == 2);
      CHECK(seen[0].kind == spawn);
      CHECK(seen[1].kind == failed);
      CHECK(seen[1].id == seen[0].id);
      CHECK(seen[1].error.find("no-such-program") != std::string::npos);
    }
  }

  TEST_CASE("audit: what a launcher of the user's throws is no event's error unless it is an "
            "exception [C72]") {
    if (!in_own_process()) {
      return;
    }
    struct odd final : launcher {
      launched_child start(const command&) override { throw 7; }
    };
    recorder& events = record();
    const command cmd = quiet().launcher(std::make_shared<odd>());
    for (const start_form& each : all_ways()) {
      CAPTURE(each.name);
      CHECK_THROWS_AS(each.start(cmd), int);
      const std::vector<seen_event> seen = events.take();
      REQUIRE(seen.size() == 2);
      CHECK(seen[1].kind == failed);
      CHECK(seen[1].error.empty());
    }
  }

  TEST_CASE("audit: a start that is cancelled raises as many ends as beginnings [C72]") {
    if (!in_own_process()) {
      return;
    }
    warm_up();
    recorder& events = record();
    const std::size_t count = 20;
    std::size_t alive = 0;
    {
      asio::io_context context;
      std::vector<asio::cancellation_signal> signals(count);
      std::vector<process> children;
      for (asio::cancellation_signal& each : signals) {
        async_spawn(
            context, unending_child(),
            asio::bind_cancellation_slot(each.slot(), [&](std::exception_ptr error, process child) {
              if (!error) {
                ++alive;
                children.push_back(std::move(child));
              }
            }));
      }
      CHECK(events.count(spawn) == count);
      for (asio::cancellation_signal& each : signals) {
        each.emit(asio::cancellation_type::terminal);
      }
      context.run();
    }
    CHECK(eventually([&] {
      return events.count(started) + events.count(failed) == count &&
             events.count(exited) == events.count(started);
    }));
    CHECK(events.count(dropped_alive) == alive); // nobody dropped those that were cancelled
  }

  TEST_CASE("audit: a hook may use the same process, start children and drop some [C72]") {
    if (!in_own_process()) {
      return;
    }
    const watchdog guard; // with a lock held it would wait for ever
    asio::io_context context;
    process* child = nullptr;
    static std::atomic<pid_type> watched = -1; // the reaper tells of others when all this has gone
    int told = 0;
    thread_local bool inside = false; // the children of the hook raise events too
    add_audit_hook([&](const audit_event& event) {
      if (inside || std::exchange(inside, true)) {
        return;
      }
      if (event.kind == exited && event.pid == watched) {
        CHECK(child->status() == event.status);
        CHECK(child->wait() == event.status);
        CHECK(child->poll() == 0);
        child->terminate();
        CHECK(child->captured().err.empty());
        child->async_wait([&](error_code ec, exit_status) { told += ec ? 0 : 1; });
        run(quiet());
        process(context, unending_child()); // leaves it to the reaper
        ++told;
      }
      inside = false;
      throw veto(); // ignored
    });
    const std::vector<std::function<void()>> calls{
        [&] { child->communicate(); },
        [&] {
          child->async_communicate([](error_code, const communicate_result&) {});
          context.restart();
          context.run();
        }};
    for (const auto& call : calls) {
      told = 0;
      inside = true; // the spawn is not what this is about
      process current(context, steps({"say:x"}).out(piped));
      inside = false;
      child = &current;
      watched = current.pid();
      call();
      context.restart();
      context.run();
      CHECK(told == 2);
      watched = -1;
    }
  }

  TEST_CASE("audit: a child that was started without a hook raises nothing [C72]") {
    if (!in_own_process()) {
      return;
    }
    asio::io_context context;
    process child(context, quiet());
    recorder& events = record();
    child.wait();
    CHECK(events.take().empty());
  }

  TEST_CASE("audit: hooks may be added while other threads spawn [C72]") {
    if (!in_own_process()) {
      return;
    }
    warm_up();
    recorder& events = record();
    constexpr int count = starts(50);
    static std::atomic<int> calls;      // static, as a hook may outlive its case
    thread_local bool counting = false; // the reaper may still be telling of the last exits
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([] {
        asio::io_context context;
        for (int j = 0; j < count; ++j) {
          run(quiet());
          process(context, quiet());
        }
      });
    }
    for (int i = 0; i < 20; ++i) {
      add_audit_hook([](const audit_event&) { calls += counting; });
    }
    for (std::thread& each : threads) {
      each.join();
    }
    const auto all = static_cast<std::size_t>(8 * count);
    CHECK(eventually([&] { return events.count(exited) == all; }));
    CHECK(events.count(spawn) == all);
    CHECK(events.count(started) == all);
    counting = true;
    run(quiet());
    CHECK(calls == 20 * 3); // none was lost
  }

} // TEST_SUITE
