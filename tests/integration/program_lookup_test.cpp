#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"

#include <asio/io_context.hpp>
#include <asio/use_future.hpp>
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

using namespace subproc;
using namespace subproc::test;

TEST_SUITE("program lookup") {

  TEST_CASE("program lookup: what no system call could take is refused before a start "
            "[T21] [K36] [K37]") {
    const leak_check leaks;
    using namespace std::string_literals;
    const own_folder folder;
    const std::string mark = folder / "mark";
    const command good = steps({"env:A"}).out(file(mark));
    asio::io_context context;
    for (const auto& [option, bad] : std::vector<std::pair<std::string, command>>{
             {"args", command()},
             {"args", command("")},
             {"executable", command(good).executable("")},
             {"executable", command(good).executable("steps\0x"s)},
             {"args", command("steps\0x"s, mark)},
             {"args", command(helper("steps"), mark, "a\0b"s)},
             {"cwd", command(good).cwd("/\0x"s)},
             {"env", command(good).env(environment::inherit().set("A=B", "x"))},
             {"env", command(good).env(environment::inherit().set("", "x"))},
             {"env", command(good).env(environment::inherit().set("A\0B"s, "x"))},
             {"env", command(good).env(environment::inherit().set("A", "x\0y"s))}}) {
      const command each = bad;
      CAPTURE(to_string(each));
      const auto refused = [&, name = option](const auto& call) {
        const spawn_error error = spawn_error_of(call);
        CHECK(error.code() == std::errc::invalid_argument);
        CHECK(error.step() == spawn_step::arguments);
        CHECK(error.path() == name);
      };
      refused([&] { run(each); });
      refused([&] { process(context, each); });
      refused([&] {
        auto spawned = async_spawn(context, each, asio::use_future);
        context.restart();
        context.run();
        spawned.get();
      });
      refused([&] {
        auto done = async_run(context, each, asio::use_future);
        context.restart();
        context.run();
        done.get();
      });
    }
    CHECK_FALSE(std::filesystem::exists(mark));
    CHECK(run(command(good).env(environment::inherit().set("A", "x=y="))).status.success());
    CHECK(folder.read("mark") == "x=y=\n");
  }

} // TEST_SUITE
