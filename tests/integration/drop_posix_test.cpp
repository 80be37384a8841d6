// What a drop does to groups and sessions, to who does not obey, and without descriptors.

#include <subproc/process.hpp>

#include "children.hpp"
#include "own_process.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace subproc;
using namespace subproc::test;

TEST_SUITE("drop") {

  TEST_CASE("drop: kill ends the whole scope, also who ignores SIGTERM [T34]") {
    const leak_check leaks;
    const watchdog guard;
    for (const bool session : {false, true}) {
      for (const launcher_kind kind :
           {launcher_kind::none, launcher_kind::vfork, launcher_kind::fork}) {
        test_pipe out;
        {
          asio::io_context context;
          command cmd = command(helper("family"), "ignores", "ignores")
                            .launcher(make_launcher(kind))
                            .out(fd(out.write_end.get()));
          const process child(context, session ? cmd.new_session() : cmd.process_group(0));
          CHECK_FALSE(line_of(out.read_end.get()).empty());
        }
        out.write_end.reset();
        CHECK(line_of(out.read_end.get()).empty()); // its end: leader and member are gone
        CHECK(eventually([] { return !has_children(); }));
      }
    }
  }

  TEST_CASE("drop: without a scope of its own the child alone is killed [T34]") {
    const leak_check leaks;
    test_pipe out;
    int member = 0;
    {
      asio::io_context context;
      const process child(
          context, command(helper("family"), "ignores", "obeys").out(fd(out.write_end.get())));
      member = std::stoi(line_of(out.read_end.get()));
    }
    out.write_end.reset();
    CHECK(eventually([] { return !has_children(); }));
    CHECK_FALSE(has_bytes(out.read_end.get())); // the member holds it
    CHECK(::kill(member, SIGTERM) == 0);
    CHECK(line_of(out.read_end.get()).empty());
  }

  TEST_CASE("drop: terminate asks once, waits for nobody, and reaps whenever it ends [T34]") {
    const leak_check leaks;
    const watchdog guard; // a destructor that waits would wait for ever
    test_pipe in;
    test_pipe out;
    {
      asio::io_context context;
      const process child(
          context,
          shell("trap 'echo term' TERM; echo ready; until [ \"$line\" = end ]; do read line; done;"
                "echo end")
              .in(fd(in.read_end.get()))
              .out(fd(out.write_end.get()))
              .drop(drop_policy::terminate));
      CHECK(line_of(out.read_end.get()) == "ready\n");
    }
    out.write_end.reset();
    CHECK(line_of(out.read_end.get()) == "term\n");
    CHECK(has_children()); // it did not obey, and lives
    CHECK(::write(in.write_end.get(), "end\n", 4) == 4);
    CHECK(line_of(out.read_end.get()) == "end\n");
    CHECK(line_of(out.read_end.get()).empty());
    CHECK(eventually([] { return !has_children(); }));
  }

  TEST_CASE("drop: terminate reaches the whole scope [T34]") {
    const leak_check leaks;
    test_pipe out;
    {
      asio::io_context context;
      const process child(context, command(helper("family"), "obeys", "obeys")
                                       .out(fd(out.write_end.get()))
                                       .process_group(0)
                                       .drop(drop_policy::terminate));
      CHECK_FALSE(line_of(out.read_end.get()).empty());
    }
    out.write_end.reset();
    CHECK(line_of(out.read_end.get()).empty());
  }

  TEST_CASE("drop: the dropped are reaped also when no descriptor is free [T34]") {
    if (!in_own_process_without_sanitizer()) {
      return;
    }
    asio::io_context context;
    const rlimit few{40, 40};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    std::optional<process> child(std::in_place, context,
                                 unending_child().drop(drop_policy::detach));
    const pid_t pid = child->pid();
    std::vector<unique_handle> all;
    for (int taken = 0; (taken = ::open("/", O_PATH | O_CLOEXEC)) >= 0;) {
      all.emplace_back(taken);
    }
    child.reset(); // alive, so that somebody has to wait for it
    REQUIRE(::kill(pid, SIGKILL) == 0);
    CHECK(eventually([] { return !has_children(); }));
    all.clear();
    child.emplace(context, unending_child());
    child.reset();
    CHECK(eventually([] { return !has_children(); }));
  }

} // TEST_SUITE
