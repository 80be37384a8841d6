#include <subproc/interop/boost_process.hpp>

#include "../children.hpp"

#include <subproc/audit.hpp>
#include <subproc/run.hpp>

#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/writable_pipe.hpp>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace subproc;
using namespace subproc::test;
using namespace std::chrono_literals;
namespace bp = boost::process::v2;

bp::process boost_child(boost::asio::io_context& theirs, const char* script) {
  return bp::process(theirs, "/bin/sh", std::vector<std::string>{"-c", script});
}

// Makes its child a leader of a process group.
struct own_group {
  boost::system::error_code on_exec_setup(bp::posix::default_launcher&, const bp::filesystem::path&,
                                          const char* const*) {
    return ::setpgid(0, 0) == 0
               ? boost::system::error_code()
               : boost::system::error_code(errno, boost::system::system_category());
  }
};

// Whether an adoption fails, with which option named, and the child is still theirs.
std::string fault(bp::process& theirs, command described, adopted_pipes pipes = {}) {
  asio::io_context context;
  const bool had_child = theirs.is_open();
  try {
    adopt(context, std::move(theirs), std::move(described), std::move(pipes));
  } catch (const spawn_error& error) {
    CHECK(theirs.is_open() == had_child);
    return error.path();
  }
  return "nothing";
}

TEST_SUITE("boost_adopt") {
  TEST_CASE("boost adopt: a child with pipes is fed, drained and waited for as ours") {
    const leak_check leaks;
    const watchdog dog;
    boost::asio::io_context their_context;
    boost::asio::writable_pipe in(their_context);
    boost::asio::readable_pipe out(their_context);
    bp::process theirs(their_context, "/usr/bin/sort", std::vector<std::string>{},
                       bp::process_stdio{in, out, {}});
    const int pid = theirs.id();

    asio::io_context context;
    process ours = adopt(context, std::move(theirs), command("sort"),
                         {unique_handle(in.release()), unique_handle(out.release()), {}});
    CHECK(!theirs.is_open());
    CHECK(ours.pid() == pid);
    CHECK(ours.args() == std::vector<std::string>{"sort"});
    CHECK(!ours.poll());
    communicate_result result;
    ours.async_communicate("b\na\n", [&](const auto& ec, communicate_result got) {
      CHECK(!ec);
      result = std::move(got);
    });
    context.run();
    CHECK(result.out == "a\nb\n");
    CHECK(ours.wait().success());
  }

  TEST_CASE("boost adopt: exit codes and signals arrive, also those that Boost has seen") {
    const leak_check leaks;
    const watchdog dog;
    boost::asio::io_context their_context;
    asio::io_context context;
    for (const bool seen : {false, true}) {
      CAPTURE(seen);
      bp::process exits = boost_child(their_context, "exit 7");
      bp::process dies = boost_child(their_context, "kill -9 $$");
      if (seen) {
        CHECK(exits.wait() == 7);
        dies.wait();
      }
      process first = adopt(context, std::move(exits), command("exit 7"));
      process second = adopt(context, std::move(dies), command("kill -9"));
      exit_status status;
      first.async_wait([&](const auto& ec, exit_status got) {
        CHECK(!ec);
        status = got;
      });
      context.restart();
      context.run();
      CHECK(status.exit_code() == 7);
      CHECK(second.wait().signal() == 9);
    }
  }

  TEST_CASE("boost adopt: the child is stopped with its group, and dropped as it says") {
    const leak_check leaks;
    const watchdog dog;
    boost::asio::io_context their_context;
    asio::io_context context;
    {
      boost::asio::readable_pipe out(their_context);
      bp::process theirs(their_context, "/bin/sh",
                         std::vector<std::string>{"-c", "sleep 1000 & echo started; wait"},
                         bp::process_stdio{{}, out, {}}, own_group());
      process ours = adopt(context, std::move(theirs), command("group").process_group(0),
                           {{}, unique_handle(out.release()), {}});
      CHECK(ours.out().read_line() == "started");
      CHECK(ours.stop(10s).survivors.empty());
    }
    bp::process theirs = boost_child(their_context, "exec sleep 1000");
    adopt(context, std::move(theirs), command("sleeper"));
    CHECK(eventually([] { return !has_children(); })); // killed by the drop
  }

  TEST_CASE("boost adopt: what cannot be is refused by name, and the child stays theirs") {
    const leak_check leaks;
    const watchdog dog;
    boost::asio::io_context their_context;
    bp::process none(their_context);
    CHECK(fault(none, command("none")) == "adopt");

    bp::process alive = boost_child(their_context, "exec sleep 1000");
    CHECK(fault(alive, command("alive").process_group(0)) == "process_group");
    CHECK(fault(alive, command("alive").new_session()) == "new_session");
    CHECK(fault(alive, command("alive").out(piped)) == "out");
    CHECK(fault(alive, command()) == "args");

    bp::process reaped = boost_child(their_context, "exit 0");
    REQUIRE(::waitpid(reaped.id(), nullptr, 0) == reaped.id());
    CHECK(fault(reaped, command("reaped")) == "adopt");
    reaped.detach();

    add_audit_hook([](const audit_event& event) {
      if (event.kind == audit_kind::spawn && event.args()[0] == "vetoed") {
        throw std::runtime_error("no");
      }
    });
    asio::io_context context;
    CHECK_THROWS_WITH(adopt(context, std::move(alive), command("vetoed")), "no");
    CHECK(alive.is_open());
    CHECK(alive.running());
  }

  TEST_CASE("boost adopt: hooks hear of a start and of the exit") {
    const leak_check leaks;
    static std::vector<audit_kind> heard;
    heard.clear();
    add_audit_hook([](const audit_event& event) {
      if (event.kind != audit_kind::hook_added && event.args()[0] == "heard of") {
        heard.push_back(event.kind);
      }
    });
    boost::asio::io_context their_context;
    asio::io_context context;
    bp::process theirs = boost_child(their_context, "exit 0");
    process ours = adopt(context, std::move(theirs), command("heard of"));
    CHECK(ours.wait().success());
    CHECK(heard == std::vector{audit_kind::spawn, audit_kind::started, audit_kind::exited});
  }
}

} // namespace
