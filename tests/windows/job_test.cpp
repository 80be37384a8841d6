#include <subproc/process.hpp>

#include "process_child.hpp"
#include "support.hpp"

#include <asio/io_context.hpp>

#include <algorithm>
#include <atomic>

using namespace subproc;
using namespace subproc::test;

namespace {

/// Three processes, one below the other, and the id of the last.
struct tree {
  explicit tree(asio::io_context& context)
      : top(context, command(helper("tree"), "2").process_group(0).out(piped)) {
    const std::string line = top.out().read_line();
    REQUIRE(line.starts_with("ready "));
    last = std::stoi(line.substr(6));
  }

  process top;
  int last = 0;
};

std::atomic<unsigned long> asked{0};

bool note_break(unsigned long group) noexcept {
  asked = group;
  return true;
}

/// Puts a sender of CTRL_BREAK in the place of the real one, as long as it lives.
class other_sender {
public:
  explicit other_sender(detail::break_sender sender) : old_(detail::exchange_break_sender(sender)) {
    asked = 0;
  }
  ~other_sender() { detail::exchange_break_sender(old_); }

private:
  detail::break_sender old_;
};

} // namespace

TEST_SUITE("windows: job") {
  TEST_CASE("windows: a stop ends the whole tree of a group of its own [T53]") {
    asio::io_context context;
    tree group(context);
    CHECK(is_running(group.last));
    SUBCASE("blocking") {
      const stop_result result = group.top.stop(std::chrono::seconds(0));
      CHECK(result.survivors.empty());
    }
    SUBCASE("on the loop") {
      group.top.async_stop(std::chrono::seconds(0), [](error_code ec, const stop_result& result) {
        CHECK_FALSE(ec);
        CHECK(result.survivors.empty());
      });
      context.run();
    }
    CHECK_FALSE(is_running(group.last));
    CHECK(group.top.poll() == 1);
  }

  TEST_CASE("windows: the polite stop is CTRL_BREAK to the child's group, then force") {
    const other_sender sender(note_break);
    asio::io_context context;
    tree group(context);
    const stop_result result = group.top.stop(std::chrono::milliseconds(20));
    CHECK(asked == static_cast<unsigned long>(group.top.pid()));
    CHECK(result.signals == std::vector<int>{15, 9});
    CHECK(result.forced);
    CHECK_FALSE(is_running(group.last));
  }

  TEST_CASE("windows: without a console the tree is ended at once") {
    const other_sender sender([](unsigned long) noexcept { return false; });
    asio::io_context context;
    tree group(context);
    const stop_result result = group.top.stop(std::chrono::seconds(60));
    CHECK(result.signals == std::vector<int>{15});
    CHECK_FALSE(result.forced);
    CHECK_FALSE(is_running(group.last));
  }

  TEST_CASE("windows: SIGBREAK goes to the group of a child that leads one") {
    const other_sender sender(note_break);
    asio::io_context context;
    process child(context, command(helper("steps"), "echo").in(piped).process_group(0));
    child.send_signal(21);
    CHECK(asked == static_cast<unsigned long>(child.pid()));
    child.kill();
    CHECK(child.wait() == exit_status::from_code(1));
  }

  TEST_CASE("windows: CTRL_BREAK ends a child that does not handle it") {
    if (under_wine()) {
      excuse("Wine 8 delivers no CTRL_BREAK. Windows ends a program without a handler with "
             "STATUS_CONTROL_C_EXIT (SetConsoleCtrlHandler); the sending is tested at the seam.");
      return;
    }
    asio::io_context context;
    process child(context, command(helper("steps"), "echo").in(piped).process_group(0));
    child.send_signal(21);
    CHECK(child.wait() == exit_status::from_code(0xC000013ALL));
  }

  TEST_CASE("windows: the members of a scope are named, and it is empty when they have gone") {
    asio::io_context context;
    const auto started =
        default_launcher()->start(command(helper("tree"), "1").process_group(0).out(null));
    child& leader = *started.child;
    CHECK(eventually([&] { return leader.scope_members(scope::group).size() == 2; }));
    CHECK_FALSE(leader.scope_empty(scope::group));
    CHECK_FALSE(leader.signal(9, scope::process));
    CHECK(eventually([&] { return leader.try_wait().has_value(); }));
    CHECK_FALSE(leader.scope_empty(scope::group));
    CHECK_FALSE(leader.signal(9, scope::group));
    CHECK(eventually([&] { return leader.scope_empty(scope::group); }));
  }

  TEST_CASE("windows: a group that is given away lives on") {
    asio::io_context context;
    process top(context, command(helper("tree"), "1").process_group(0).out(piped));
    const int leader = top.pid();
    const int below = std::stoi(top.out().read_line().substr(6));
    SUBCASE("detached") { top.detach(); }
    SUBCASE("released") {
      const released_child mine = top.release();
      CHECK(mine.pid == leader);
      CHECK(mine.handle);
    }
    CHECK(is_running(leader));
    CHECK(is_running(below));
    end_process(leader);
    end_process(below);
    CHECK(eventually([&] { return !is_running(leader) && !is_running(below); }));
  }

  TEST_CASE("windows: die_with_parent ends the child and all below it with the parent [T53]") {
    const char* what = "";
    SUBCASE("kept") { what = "keep"; }
    SUBCASE("released") { what = "release"; }
    SUBCASE("detached") { what = "detach"; }
    asio::io_context context;
    // A job in a job: the parent is in one of ours.
    process parent(context, command(helper("parent"), what, helper("steps"), "say:up", "echo")
                                .in(piped)
                                .out(piped)
                                .process_group(0));
    const int below = std::stoi(parent.out().read_line());
    CHECK(is_running(below));
    parent.kill(); // the leader alone
    CHECK(parent.wait() == exit_status::from_code(1));
    CHECK(eventually([&] { return !is_running(below); }));
  }
}
