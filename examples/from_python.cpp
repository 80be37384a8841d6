// What Python programmers write every day, here. docs/from-python.md shows each beside its
// original.

#include <subproc/subproc.hpp>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace subproc;

void expect(bool holds, const char* what) {
  if (!holds) {
    std::cerr << "not as promised: " << what << '\n';
    std::exit(1);
  }
}

void run_and_check() { run(command("ls", "-l", "/").out(null).check()); }

void output() {
  std::string kernel = check_output({"uname", "-s"});
  expect(kernel == "Linux\n", "output");
}

void capture_both() {
  completed_process done = run(shell("echo out; echo err >&2; exit 3").capture_output());
  std::cout << done.out << done.err << *done.returncode() << '\n';
  expect(done.out == "out\n" && done.err == "err\n" && done.returncode() == 3, "capture_both");
}

void input() {
  std::string sorted = check_output(command("sort").input("b\na\n"));
  expect(sorted == "a\nb\n", "input");
}

void shell_with_values(const std::string& name) {
  std::string text = check_output(shell("echo \"hello $1\" | tr a-z A-Z", "sh", name));
  expect(text == "HELLO $(WORLD)\n", "shell_with_values");
}

void merged_into_a_file(const std::string& path) {
  run(shell("echo out; echo err >&2").out(file(path)).err(merge));
  expect(check_output({"cat", path}) == "out\nerr\n", "merged_into_a_file");
}

void silence() {
  exit_status status = call(command("cat").in(null).out(null).err(null));
  expect(status.success(), "silence");
}

void edited_environment() {
  auto env = environment::inherit().set("LANG", "C").unset("DISPLAY");
  std::string text = check_output(command("sh", "-c", "echo $LANG$DISPLAY").env(env));
  expect(text == "C\n", "edited_environment");
}

void directory() {
  std::string where = check_output(command("pwd").cwd("/"));
  expect(where == "/\n", "directory");
}

void time_out() {
  try {
    run(shell("echo part; exec sleep 60").out(piped).timeout(0.2s));
  } catch (const timeout_expired& error) {
    std::cout << error.what() << " So far: " << error.result().out;
    expect(error.result().out == "part\n", "time_out");
  }
}

void failure() {
  try {
    check_call(shell("exit 3"));
  } catch (const called_process_error& error) {
    std::cout << error.what() << '\n';
    expect(error.result().returncode() == 3, "failure");
  }
}

void missing_program() {
  try {
    run({"no-such-program"});
  } catch (const spawn_error& error) {
    expect(error.code() == std::errc::no_such_file_or_directory, "missing_program");
    expect(error.path() == "no-such-program", "missing_program");
  }
}

void poll_and_wait(asio::io_context& context) {
  process child(context, shell("exit 7"));
  if (!child.poll()) {
    std::cout << "still running\n";
  }
  expect(child.wait().exit_code() == 7, "poll_and_wait");
}

void communicate_then_kill(asio::io_context& context) {
  process child(context, shell("echo part; exec sleep 60").out(piped));
  communicate_result got;
  try {
    got = child.communicate("", 0.2s);
  } catch (const timeout_expired&) {
    child.kill();
    got = child.communicate();
  }
  expect(got.out == "part\n" && child.returncode() == -9, "communicate_then_kill");
}

void chained(asio::io_context& context) {
  process first(context, command("seq", "100").out(piped));
  process second(context, command("tail", "-n1").in(fd(first.out())).out(piped));
  first.out().close();
  expect(second.communicate().out == "100\n" && first.wait().success(), "pipeline");
}

void passed_descriptor() {
  int ends[2];
  expect(::pipe(ends) == 0, "pipe");
  run(command("sh", "-c", "echo hello >\"/dev/fd/$1\"", "sh", std::to_string(ends[1]))
          .pass_fds({ends[1]}));
  char text[8];
  expect(::read(ends[0], text, sizeof text) == 6, "passed_descriptor");
}

asio::awaitable<void> each_line() {
  process child(co_await asio::this_coro::executor, command("seq", "3").out(piped));
  int sum = 0;
  auto add = [&](std::string_view line) { sum += std::stoi(std::string(line)); };
  co_await async_for_each_line(child.out(), add, asio::use_awaitable);
  expect(sum == 6, "each_line");
}

asio::awaitable<void> conversation() {
  process bc(co_await asio::this_coro::executor, command("cat").in(piped).out(piped));
  co_await asio::async_write(bc.in(), asio::buffer("question\n", 9), asio::use_awaitable);
  std::string answer = co_await bc.out().async_read_line(asio::use_awaitable);
  bc.in().close();
  co_await bc.async_wait(asio::use_awaitable);
  expect(answer == "question", "conversation");
}

asio::awaitable<void> asyncio_communicate() {
  auto ex = co_await asio::this_coro::executor;
  process child =
      co_await async_spawn(ex, command("wc", "-c").in(piped).out(piped), asio::use_awaitable);
  communicate_result got = co_await child.async_communicate("12345", asio::use_awaitable);
  expect(got.out == "5\n", "asyncio_communicate");
}

asio::awaitable<void> whole_tree() {
  process server(co_await asio::this_coro::executor, shell("sleep 60 & wait").new_session());
  stop_result end = co_await server.async_stop(2s, asio::use_awaitable);
  expect(end.status.signal() == 15, "whole_tree");
}

asio::awaitable<void> many() {
  std::vector<std::string> words{"a", "b", "c"};
  std::size_t next = 0;
  pool jobs(
      co_await asio::this_coro::executor, {.concurrency = 2},
      [&](command& job) {
        if (next == words.size()) {
          return next_command::end;
        }
        job = command("echo", words[next++]).out(piped);
        return next_command::ready;
      },
      [](pool_result done) { std::cout << done.process.out; });
  pool_summary all = co_await jobs.async_run(asio::use_awaitable);
  expect(all.failed == 0, "many");
}

void bounded() {
  std::string text = check_output(shell("ulimit -n").with(limits{.rlimits = {{"nofile", 64}}}));
  expect(text == "64\n", "bounded");
}

void audited() {
  add_audit_hook([](const audit_event& event) {
    if (event.kind == audit_kind::spawn && event.args().front() == "rm") {
      throw std::runtime_error("rm is not for us");
    }
  });
  try {
    run({"rm", "-rf", "/"});
    expect(false, "audited");
  } catch (const std::runtime_error& error) {
    std::cout << error.what() << '\n';
  }
}

void words() {
  std::vector<std::string> argv = split("grep -n 'two words' file");
  expect(argv.size() == 4 && join(argv) == "grep -n 'two words' file", "words");
}

} // namespace

int main() {
  asio::io_context context;
  run_and_check();
  output();
  capture_both();
  input();
  shell_with_values("$(world)");
  merged_into_a_file("from_python.log");
  silence();
  edited_environment();
  directory();
  time_out();
  failure();
  missing_program();
  poll_and_wait(context);
  communicate_then_kill(context);
  chained(context);
  passed_descriptor();
  bounded();
  words();
  for (auto part : {each_line, conversation, asyncio_communicate, whole_tree, many}) {
    asio::co_spawn(context, part(), [](std::exception_ptr error) {
      if (error) {
        std::rethrow_exception(error);
      }
    });
    context.run();
    context.restart();
  }
  audited();
}
