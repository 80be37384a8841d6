#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "both_ways.hpp"
#include "children.hpp"
#include "ended.hpp"
#include "platform.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/write.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

TEST_SUITE("communicate") {

  TEST_CASE("communicate: whoever holds the pipe, exit, drain and end-of-file are three [T36]") {
    if (excused_without(feature::posix_shell, "its grandchildren are a shell's")) {
      return;
    }
    const leak_check leaks;
    const watchdog guard;
    struct row {
      const char* script; ///< its background part ends when descriptor 9 does
      bool waits;         ///< the shell too
    };
    // Each writes "early", and "late" once the gate has been closed.
    const std::array<row, 6> rows{
        row{"{ cat <&9; echo late; } & true", false},
        row{"{ cat <&9; echo late; } & exit 0", false},
        row{"( ( cat <&9; echo late ) & )", false},
        row{"{ cat <&9; echo late; } | cat & true", false},
        row{"setsid sh -c 'cat <&9; echo late' & true", false},
        row{"{ cat <&9; echo late; } & wait", true},
    };
    for (const std::string program : {"/bin/sh", "/bin/bash"}) {
      if (!std::filesystem::exists(program)) {
        MESSAGE("left out: ", program);
        continue;
      }
      for (const row& each : rows) {
        in_both_ways([&](asio::io_context& context, way how) {
          CAPTURE(program);
          CAPTURE(each.script);
          test_pipe gate;
          const command cmd =
              with_descriptors(command(program, "-c", std::string("echo early; ") + each.script),
                               {{9, gate.read_end.get()}})
                  .out(piped);
          // Without a drain bound the output is waited for, though the exit is known.
          {
            process child(context, cmd);
            while (child.captured().out != "early\n") {
              CHECK(communicate(context, child, how, {}, 1ms).ec == asio::error::timed_out);
            }
            if (each.waits) {
              CHECK(child.poll() == std::nullopt);
            } else {
              CHECK(child.wait().success());
            }
            CHECK(communicate(context, child, how, {}, 1ms).ec == asio::error::timed_out);
            gate.write_end.reset();
            const outcome done = communicate(context, child, how);
            CHECK_FALSE(done.ec);
            CHECK(done.result.status.success());
            CHECK(done.result.out == "early\nlate\n");
            CHECK_FALSE(done.result.pipes_held);
          }
          // With one it ends that long after the exit, and says that the pipe was held.
          if (!each.waits) {
            test_pipe second;
            process child(context,
                          with_descriptors(cmd, {{9, second.read_end.get()}}).drain_timeout(5ms));
            CHECK(child.wait().success());
            const outcome done = communicate(context, child, how);
            CHECK_FALSE(done.ec);
            CHECK(done.result.status.success());
            CHECK(done.result.out == "early\n");
            CHECK(done.result.pipes_held);
            CHECK_FALSE(child.out().is_open());
          }
        });
      }
    }
  }

  TEST_CASE("communicate: no size of anything deadlocks [T37]") {
    const leak_check leaks;
    const watchdog guard;
    in_both_ways([](asio::io_context& context, way how) {
      const std::string input = pattern(3'000'000);
      process child(context, steps({"out:300000", "err:300000", "echo", "err:200000", "exit:5"})
                                 .in(piped)
                                 .out(piped)
                                 .err(piped));
      const outcome done = communicate(context, child, how, input);
      CHECK_FALSE(done.ec);
      CHECK(done.result.out == pattern(300'000) + input);
      CHECK(done.result.err == pattern(300'000) + pattern(200'000));
      CHECK(done.result.out_captured);
      CHECK(done.result.err_captured);
      CHECK(done.result.status == exit_status::from_code(5));
      CHECK(communicate(context, child, how).ec == errc::already_taken);
    });
  }

  TEST_CASE("communicate: the input is the command's unless the call brings one") {
    const leak_check leaks;
    in_both_ways([](asio::io_context& context, way how) {
      const command cmd = steps({"echo"}).input("command's").out(piped);
      process own(context, cmd);
      CHECK(communicate(context, own, how).result.out == "command's");
      process other(context, cmd);
      CHECK(communicate(context, other, how, "call's").result.out == "call's");
      process none(context, steps({"count"}).in(piped).out(piped));
      CHECK(communicate(context, none, how).result.out == "0");
      process not_piped(context, steps({"exit:0"}));
      CHECK(communicate(context, not_piped, how, "x").ec == std::errc::invalid_argument);
      CHECK_FALSE(communicate(context, not_piped, how).ec);
    });
  }

  TEST_CASE("communicate: a child that does not read its input is no error [T38] [K59]") {
    const leak_check leaks;
    const watchdog guard;
    const broken_pipes_kill at_default;
    struct row {
      command cmd;
      std::string out;
      int code;
    };
    const std::vector<row> rows{
        {steps({"exit:3"}), "", 3},
        {steps({"read:1000", "exit:3"}), "", 3},
        {steps({"close:0", "out:200000", "exit:3"}), pattern(200'000), 3},
        {steps({"read:100000", "close:0", "out:1000"}), pattern(1000), 0},
    };
    for (const row& each : rows) {
      in_both_ways([&](asio::io_context& context, way how) {
        process child(context, command(each.cmd).in(piped).out(piped));
        const outcome done = communicate(context, child, how, std::string(4 << 20, 'x'));
        CHECK_FALSE(done.ec);
        CHECK(done.result.status == exit_status::from_code(each.code));
        CHECK(done.result.out == each.out);
      });
    }
    // Nor is it after the exit, when there is nothing to read.
    in_both_ways([&](asio::io_context& context, way how) {
      process child(context, steps({"exit:3"}).in(piped));
      CHECK(child.wait() == exit_status::from_code(3));
      const outcome done = communicate(context, child, how, std::string(4 << 20, 'x'));
      CHECK_FALSE(done.ec);
      CHECK(done.result.status == exit_status::from_code(3));
    });
  }

  TEST_CASE("communicate: input that only a grandchild could read ends with the child [T38]") {
    if (excused_without(feature::posix_shell, "its grandchild is a shell's")) {
      return;
    }
    const leak_check leaks;
    const watchdog guard; // the grandchild never reads: a writer that goes on waits for ever
    in_both_ways([](asio::io_context& context, way how) {
      for (const bool reaped : {false, true}) {
        CAPTURE(reaped);
        test_pipe gate;
        process child(context, with_descriptors(shell("exec 3<&0; cat <&9 >/dev/null & exit 4"),
                                                {{9, gate.read_end.get()}})
                                   .in(piped)
                                   .out(piped));
        if (reaped) {
          child.wait();
        }
        const outcome done = communicate(context, child, how, std::string(1 << 20, 'x'));
        CHECK_FALSE(done.ec);
        CHECK(done.result.status == exit_status::from_code(4));
      }
    });
  }

  TEST_CASE("communicate: what was written before the exit comes, however late we look [T39]") {
    if (excused_without(feature::pipe_size, "it needs a pipe of another size")) {
      return;
    }
    const leak_check leaks;
    in_both_ways([](asio::io_context& context, way how) {
      for (const bool reaped : {false, true}) {
        process child(
            context,
            steps({"out:900000", "err:60000", "exit:6"}).pipe_size(1 << 20).out(piped).err(piped));
        REQUIRE(has_ended(child));
        if (reaped) {
          CHECK(child.wait().exit_code() == 6);
        }
        const outcome done = communicate(context, child, how);
        CHECK(done.result.status == exit_status::from_code(6));
        CHECK(done.result.out == pattern(900'000));
        CHECK(done.result.err == pattern(60'000));
      }
    });
  }

  TEST_CASE("communicate: a child that was in time is a success, however late the loop is [T40]") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"out:60000", "err:60000", "exit:7"}).out(piped).err(piped));
    outcome got;
    child.async_communicate({}, 20ms, [&](error_code ec, communicate_result result) {
      got = {ec, std::move(result)};
    });
    const auto deadline = std::chrono::steady_clock::now() + 20ms;
    REQUIRE(has_ended(child));
    std::this_thread::sleep_until(deadline + 5ms); // the loop does other things meanwhile
    context.run();
    CHECK_FALSE(got.ec);
    CHECK(got.result.status == exit_status::from_code(7));
    CHECK(got.result.out == pattern(60'000));
    CHECK(got.result.err == pattern(60'000));

    // A time-out that has passed before the call is one look, and that may be enough.
    for (const duration limit : {duration(0s), duration(-1h)}) {
      in_both_ways([&](asio::io_context& other, way how) {
        process ended(other, steps({"out:60000", "exit:8"}).out(piped));
        REQUIRE(has_ended(ended));
        const outcome done = communicate(other, ended, how, {}, limit);
        CHECK_FALSE(done.ec);
        CHECK(done.result.out == pattern(60'000));
        const test_pipe gate;
        process running(other,
                        steps({"say:here", "read:1"}).in(fd(gate.read_end.get())).out(piped));
        REQUIRE(readable(running.out().native_handle()));
        CHECK(communicate(other, running, how, {}, limit).ec == asio::error::timed_out);
      });
    }
  }

  TEST_CASE("communicate: time-outs at many points lose and double no byte "
            "[T41] [K39] [K40] [K41]") {
    const leak_check leaks;
    const watchdog guard;
    constexpr int cuts = sanitized ? 4 : 20;
    constexpr std::size_t out_step = 70'001; // more than a pipe takes
    constexpr std::size_t err_step = 997;
    constexpr std::size_t in_step = 3'001;
    // Between two cuts the child writes, reads some of its input, and waits for a byte of ours.
    std::vector<std::string> what;
    std::string out;
    std::string err;
    for (int i = 0; i < cuts; ++i) {
      what.insert(what.end(), {"out:" + std::to_string(out_step), "read:" + std::to_string(in_step),
                               "err:" + std::to_string(err_step), "byte:9"});
      out += pattern(out_step);
      err += pattern(err_step);
    }
    what.insert(what.end(), {"echo", "exit:9"});
    const std::string input = pattern(500'000);

    for (const std::vector<way>& order : {std::vector{way::loop}, std::vector{way::blocking},
                                          std::vector{way::loop, way::blocking}}) {
      asio::io_context context;
      test_pipe gate;
      process child(context, with_descriptors(steps(what), {{9, gate.read_end.get()}})
                                 .in(piped)
                                 .out(piped)
                                 .err(piped));
      std::size_t calls = 0;
      const auto next = [&](std::optional<duration> limit) {
        const way how = order[calls % order.size()];
        return communicate(context, child, how, calls++ == 0 ? input : std::string(), limit);
      };
      for (std::size_t cut = 1; cut <= cuts; ++cut) {
        bool right = true;
        do {
          const outcome got = next(duration(1ms));
          const captured_view held = child.captured();
          right = got.ec == asio::error::timed_out && out.starts_with(held.out) &&
                  err.starts_with(held.err) && got.result.out_held == held.out.size() &&
                  got.result.err_held == held.err.size() && got.result.out.empty();
        } while (right && child.captured().err.size() < cut * err_step);
        REQUIRE(right);
        CHECK(child.captured().out.size() == cut * out_step);
        CHECK(write_byte(gate));
      }
      const outcome done = next(std::nullopt);
      CHECK_FALSE(done.ec);
      CHECK(done.result.status == exit_status::from_code(9));
      CHECK((done.result.out == out + input.substr(cuts * in_step)));
      CHECK((done.result.err == err));
    }
  }

  TEST_CASE("communicate: a resumed one takes no second input, and changes nothing [T41]") {
    const leak_check leaks;
    in_both_ways([](asio::io_context& context, way how) {
      test_pipe gate;
      process child(context, with_descriptors(steps({"byte:9", "echo"}), {{9, gate.read_end.get()}})
                                 .in(piped)
                                 .out(piped));
      CHECK(communicate(context, child, how, "first", 1ms).ec == asio::error::timed_out);
      CHECK(communicate(context, child, how, "second", 1ms).ec == std::errc::invalid_argument);
      gate.write_end.reset();
      const outcome done = communicate(context, child, how);
      CHECK_FALSE(done.ec);
      CHECK(done.result.out == "first");
    });
  }

  TEST_CASE("communicate: a resumed one takes ends that were closed meanwhile as ended [T41]") {
    const leak_check leaks;
    const watchdog guard;
    for (const way how : {way::loop, way::blocking}) {
      asio::io_context context;
      test_pipe gate;
      process child(context, with_descriptors(steps({"say:first", "byte:3", "count", "exit:3"}),
                                              {{3, gate.read_end.get()}})
                                 .in(piped)
                                 .out(piped)
                                 .err(piped));
      const std::string much(1 << 20, 'x');
      CHECK(communicate(context, child, how, much, 1ms).ec == asio::error::timed_out);
      child.in().close();
      child.err().release();
      gate.write_end.reset();
      const outcome got = communicate(context, child, how);
      CHECK_FALSE(got.ec);
      CHECK(got.result.status == exit_status::from_code(3));
      const std::size_t line = got.result.out.find('\n') + 1;
      CHECK(got.result.out.substr(0, line) == "first\n");
      CHECK(std::stoul(got.result.out.substr(line)) < much.size());

      test_pipe hold;
      process other(
          context,
          with_descriptors(steps({"byte:3", "exit:4"}), {{3, hold.read_end.get()}}).out(piped));
      CHECK(communicate(context, other, how, "", 1ms).ec == asio::error::timed_out);
      other.out().close();
      hold.write_end.reset();
      CHECK(communicate(context, other, how).result.status == exit_status::from_code(4));
    }
  }

  TEST_CASE("communicate: cancellations at many points lose and double no byte [T41]") {
    const leak_check leaks;
    const watchdog guard;
    asio::io_context context;
    constexpr std::size_t size = sanitized ? 500'000 : 4'000'000;
    const std::string input = pattern(size);
    process child(
        context,
        steps({"err:150000", "echo", "err:150000", "exit:1"}).in(piped).out(piped).err(piped));
    constexpr std::array types{asio::cancellation_type::terminal, asio::cancellation_type::partial,
                               asio::cancellation_type::total};
    outcome got;
    int cancelled = 0;
    for (std::size_t i = 0; i == 0 || got.ec == asio::error::operation_aborted; ++i) {
      asio::cancellation_signal signal;
      bool done = false;
      child.async_communicate(
          i == 0 ? input : std::string(), 1h,
          asio::bind_cancellation_slot(signal.slot(), [&](error_code ec, communicate_result r) {
            done = true;
            got = {ec, std::move(r)};
          }));
      // Some handlers later, between any two of them.
      context.restart();
      for (std::size_t step = 0; step < i % 7 && !done; ++step) {
        context.run_one();
      }
      if (!done) {
        signal.emit(types[i % types.size()]);
        CHECK_FALSE(done); // not from inside emit
        context.restart();
        context.run();
        REQUIRE(done);
        cancelled += got.ec ? 1 : 0;
      }
      if (got.ec) {
        const captured_view held = child.captured();
        REQUIRE(got.result.out_held == held.out.size());
        REQUIRE(std::string_view(input).starts_with(held.out));
        REQUIRE(child.poll() != 0); // it is not touched: it ends with 1, or lives
      }
    }
    CHECK(cancelled > 3);
    CHECK_FALSE(got.ec);
    CHECK(got.result.status == exit_status::from_code(1));
    CHECK((got.result.out == input));
    CHECK((got.result.err == pattern(150'000) + pattern(150'000)));
  }

  TEST_CASE("communicate: limits are exact for each stream and policy [T42]") {
    const leak_check leaks;
    constexpr std::size_t limit = 1001; // odd: head_tail has to halve it
    for (const overflow policy :
         {overflow::error, overflow::head, overflow::tail, overflow::head_tail}) {
      for (const bool on_out : {false, true}) {
        for (const std::size_t size : {limit - 1, limit, limit + 1, limit + 200'000}) {
          in_both_ways([&](asio::io_context& context, way how) {
            CAPTURE(static_cast<int>(policy));
            CAPTURE(on_out);
            CAPTURE(size);
            const std::string all = pattern(size);
            process child(context, steps({(on_out ? "out:" : "err:") + std::to_string(size),
                                          on_out ? "err:100" : "out:100", "exit:2"})
                                       .out(piped)
                                       .err(piped)
                                       .limit(limit, policy));
            outcome done = communicate(context, child, how);
            const bool over = size > limit;
            if (over && policy == overflow::error) {
              CHECK(done.ec == errc::output_limit);
              CHECK((on_out ? done.result.out_held : done.result.err_held) > limit);
              CHECK(child.status() != killed());       // it is left alone
              done = communicate(context, child, how); // and returns everything
            }
            CHECK_FALSE(done.ec);
            CHECK(done.result.status == exit_status::from_code(2));
            const std::size_t tail = policy == overflow::tail   ? limit
                                     : policy == overflow::head ? 0
                                                                : limit / 2;
            const std::string kept = !over || policy == overflow::error
                                         ? all
                                         : all.substr(0, limit - tail) + all.substr(size - tail);
            CHECK(((on_out ? done.result.out : done.result.err) == kept));
            CHECK((on_out ? done.result.out_dropped : done.result.err_dropped) ==
                  size - kept.size());
            CHECK(((on_out ? done.result.err : done.result.out) == pattern(100)));
            CHECK((on_out ? done.result.err_dropped : done.result.out_dropped) == 0);
            CHECK(done.result.truncated() == (size != kept.size()));
          });
        }
      }
    }
  }

  TEST_CASE("communicate: merged streams keep the order in which they were written [K28]") {
    const leak_check leaks;
    const command both = steps({"say:1", "warn:2", "say:3", "warn:4"}).err(merge);
    const own_folder folder;
    const std::string path = folder / "both";
    CHECK(run(command(both).out(file(path))).status.success());
    CHECK(folder.read("both") == "1\n2\n3\n4\n");
    test_pipe own;
    CHECK(run(command(both).out(fd(own.write_end.get()))).status.success());
    CHECK(written_to(own) == "1\n2\n3\n4\n");
    CHECK(run(command(both).out(null)).status.success());
    in_both_ways([](asio::io_context& context, way how) {
      process child(context, steps({"say:1", "warn:2", "say:3", "warn:4"}).out(piped).err(merge));
      const outcome done = communicate(context, child, how);
      CHECK(done.result.out == "1\n2\n3\n4\n");
      CHECK(done.result.err.empty());
      CHECK(done.result.out_captured);
      CHECK_FALSE(done.result.err_captured);
    });
  }

  TEST_CASE("communicate: a child that reads as fast as it is fed does not hold the loop") {
    const leak_check leaks;
    asio::io_context context;
    process child(context, steps({"count"}).in(piped).out(piped));
    constexpr std::size_t size = 256U << 20U;
    bool done = false;
    child.async_communicate(std::string(size, 'x'), [&](error_code, communicate_result result) {
      done = true;
      CHECK(result.out == std::to_string(size));
    });
    std::size_t turns = 0;
    while (!done) {
      turns += context.run_one();
    }
    CHECK(turns >= (size >> 20U) / 4); // a few MiB a turn
  }

  TEST_CASE("communicate: what is dropped takes no memory [T45]") {
    const leak_check leaks;
    static constexpr std::size_t size = sanitized ? 64'000'000 : 256'000'000;
    in_both_ways([](asio::io_context& context, way how) {
      for (const overflow policy : {overflow::head, overflow::tail}) {
        process child(context, steps({"out:" + std::to_string(size)})
                                   .out(piped)
                                   .limit(policy == overflow::head ? 0 : 1000, policy));
        reset_peak_resident_bytes();
        const std::size_t before = peak_resident_bytes();
        const outcome done = communicate(context, child, how);
        CHECK(peak_resident_bytes() < before + size / 4);
        CHECK(done.result.out.size() + done.result.out_dropped == size);
        CHECK(done.result.out.size() <= 1000);
      }
    });
  }

  TEST_CASE("communicate: each mix of pipes gives its streams once, and closes them "
            "[K38] [K42] [K43] [K147]") {
    const leak_check leaks;
    for (unsigned mix = 0; mix < 8; ++mix) {
      CAPTURE(mix);
      const bool in = (mix & 1U) != 0;
      const bool out = (mix & 2U) != 0;
      const bool err = (mix & 4U) != 0;
      command cmd = steps({"echo", "say:out", "warn:err", "exit:47"});
      in ? cmd.in(piped) : cmd.in(null);
      out ? cmd.out(piped) : cmd.out(null);
      err ? cmd.err(piped) : cmd.err(null);
      in_both_ways([&](asio::io_context& context, way how) {
        process child(context, cmd);
        CHECK(child.in().is_open() == in);
        CHECK(child.out().is_open() == out);
        CHECK(child.err().is_open() == err);
        const outcome done = communicate(context, child, how, in ? "in " : "");
        CHECK_FALSE(done.ec);
        CHECK(done.result.status == exit_status::from_code(47));
        CHECK(done.result.out == (!out ? "" : in ? "in out\n" : "out\n"));
        CHECK(done.result.err == (err ? "err\n" : ""));
        CHECK(done.result.out_captured == out);
        CHECK(done.result.err_captured == err);
        CHECK_FALSE(child.in().is_open());
        CHECK_FALSE(child.out().is_open());
        CHECK_FALSE(child.err().is_open());

        const outcome again = communicate(context, child, how);
        CHECK((again.ec == errc::already_taken) == (out || err));
        CHECK(static_cast<bool>(again.ec) == (out || err));
        CHECK(child.status() == exit_status::from_code(47));
        CHECK(child.returncode() == 47);
      });
    }
  }

  TEST_CASE("communicate: a child that reads, writes much, and reads on does not deadlock [K44]") {
    const leak_check leaks;
    const watchdog guard;
    in_both_ways([](asio::io_context& context, way how) {
      constexpr std::size_t big = 4 << 20;
      process child(
          context,
          steps({"echo:47", "err:" + std::to_string(big), "echo"}).in(piped).out(piped).err(piped));
      const outcome done = communicate(context, child, how, pattern(big));
      CHECK_FALSE(done.ec);
      CHECK((done.result.out == pattern(big)));
      CHECK((done.result.err == pattern(big)));
      CHECK(done.result.status.success());
    });
  }

  TEST_CASE("communicate: what was written by hand comes before the input [K45]") {
    const leak_check leaks;
    in_both_ways([](asio::io_context& context, way how) {
      process child(context, steps({"echo"}).in(piped).out(piped));
      CHECK(asio::write(child.in(), asio::buffer("ab", 2)) == 2);
      const outcome done = communicate(context, child, how, "cd");
      CHECK_FALSE(done.ec);
      CHECK(done.result.out == "abcd");
    });
  }

  TEST_CASE("communicate: a child that has closed its output is waited for [K108]") {
    const leak_check leaks;
    in_both_ways([](asio::io_context& context, way how) {
      test_pipe gate;
      process child(context, with_descriptors(steps({"say:out", "close:1", "byte:9", "exit:3"}),
                                              {{9, gate.read_end.get()}})
                                 .out(piped));
      REQUIRE(readable(child.out().native_handle()));
      for (int i = 0; i < 3; ++i) {
        CHECK(communicate(context, child, how, {}, 1ms).ec == asio::error::timed_out);
      }
      gate.write_end.reset();
      const outcome done = communicate(context, child, how, {}, 1h);
      CHECK_FALSE(done.ec);
      CHECK(done.result.status == exit_status::from_code(3));
      CHECK(done.result.out == "out\n");
    });
  }

} // TEST_SUITE
