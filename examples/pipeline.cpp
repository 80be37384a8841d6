// Commands joined by pipes of the kernel: what goes between them never passes through this program.

#include <subproc/subproc.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>

#include <exception>
#include <iostream>
#include <string>
#include <string_view>

using namespace std::chrono_literals;

namespace {

// The words of a text, the most frequent first.
asio::awaitable<std::string> frequent_words(asio::any_io_executor ex, std::string text) {
  const subproc::pipeline words =
      (subproc::command("tr", "-cs", "a-z", "\n").input(text) | subproc::command("sort") |
       subproc::command("uniq", "-c") | subproc::command("sort", "-rn"))
          .capture_output()
          .policy(subproc::pipeline_policy::pipefail)
          .check()
          .timeout(1min);
  const subproc::pipeline_result done = co_await subproc::async_run(ex, words, asio::use_awaitable);
  co_return done.out();
}

bool first_line_of_endless() {
  // `yes` dies of SIGPIPE once `head` has had enough, which is no failure when forgiven.
  const subproc::pipeline_result done =
      subproc::run((subproc::command("yes") | subproc::command("head", "-n1").out(subproc::piped))
                       .policy(subproc::pipeline_policy::pipefail)
                       .forgive_sigpipe()
                       .check());
  std::cout << done.what << ": " << done.out();
  for (const subproc::completed_process& stage : done.stages) {
    std::cout << "  " << stage.cmd << ' ' << stage.status << '\n';
  }
  return done.out() == "y\n";
}

bool tells_who_failed() {
  try {
    subproc::run((subproc::shell("echo some; echo why >&2; exit 3") | subproc::command("cat"))
                     .capture_output()
                     .policy(subproc::pipeline_policy::pipefail)
                     .check());
  } catch (const subproc::pipeline_failed& error) {
    std::cout << error.what() << " It said: " << error.result().err;
    return error.result().err == "why\n" && error.pipeline().out() == "some\n";
  }
  return false;
}

bool starts_all_or_none() {
  try {
    subproc::run(subproc::command("yes") | subproc::command("no-such-program"));
  } catch (const subproc::pipeline_spawn_error& error) {
    std::cout << error.what() << '\n';
    return error.stage() == 1;
  }
  return false;
}

bool counts_on_the_way() {
  std::size_t bytes = 0;
  const subproc::filter meter([&bytes](std::string_view part) {
    bytes += part.size();
    return std::string(part);
  });
  const subproc::pipeline_result done = subproc::run(
      subproc::command("seq", "100000") | meter | subproc::command("wc", "-c").out(subproc::piped));
  std::cout << bytes << " bytes on the way to " << done.what.stages().back() << '\n';
  return std::stoul(done.out()) == bytes;
}

} // namespace

int main() {
  asio::io_context context;
  std::string words;
  asio::co_spawn(context, frequent_words(context.get_executor(), "a rose is a rose is a rose"),
                 [&](std::exception_ptr error, std::string found) {
                   if (error) {
                     std::rethrow_exception(error);
                   }
                   words = std::move(found);
                 });
  context.run();
  std::cout << words;
  const bool counted = words.find("2 is") != std::string::npos;
  const bool right = first_line_of_endless() && tells_who_failed() && starts_all_or_none() &&
                     counts_on_the_way() && counted;
  std::cout << (right ? "as promised\n" : "not as promised\n");
  return right ? 0 : 1;
}
