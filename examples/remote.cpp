// One command on many machines through ssh, which is an ordinary command: at most ten at once, each
// with its time, nobody asked for a password.
//
//   remote HOST… -- COMMAND…      without arguments: two machines played by a script

#include <subproc/subproc.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include <unistd.h>

using namespace std::chrono_literals;

namespace {

// ssh joins its words by spaces, and the shell at the other end splits them: they are quoted for
// that one. The `--` keeps a host from being taken for an option.
subproc::command on(const std::string& host, const std::vector<std::string>& words) {
  return subproc::command("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "--", host,
                          subproc::join(words))
      .in(subproc::null)
      .capture_output()
      .timeout(1min);
}

asio::awaitable<int> everywhere(asio::any_io_executor ex, std::vector<std::string> hosts,
                                std::vector<std::string> words) {
  std::vector<subproc::command> commands;
  for (const std::string& host : hosts) {
    commands.push_back(on(host, words));
  }
  const subproc::failure_kind lost = subproc::failure_kind::timeout;
  subproc::result_stream results(ex, std::move(commands),
                                 {.concurrency = 10, .retry = {.retries = 1, .on = lost}});
  int failed = 0;
  while (auto done = co_await results.async_next(asio::use_awaitable)) {
    const std::string& host = hosts[done->sequence - 1];
    std::cout << host << ": " << done->process.status << '\n' << done->process.out;
    if (!done->ok()) {
      ++failed; // 255 is ssh's own failure
      std::cout << done->process.err;
    }
  }
  co_return failed;
}

} // namespace

int main(int argc, char** argv) {
  std::vector<std::string> hosts(argv + 1, argv + argc);
  std::vector<std::string> words;
  std::filesystem::path played;
  if (const auto end = std::ranges::find(hosts, "--"); end != hosts.end()) {
    words.assign(end + 1, hosts.end());
    hosts.erase(end, hosts.end());
  } else {
    // Its ssh does what the other end would do: it gives the words to a shell.
    played = std::filesystem::temp_directory_path() / ("remote." + std::to_string(::getpid()));
    std::filesystem::create_directory(played);
    std::ofstream(played / "ssh") << "#!/bin/sh\n"
                                     "while [ \"$1\" != -- ]; do shift; done\n"
                                     "export PLAYED_HOST=\"$2\"; shift 2; exec sh -c \"$*\"\n";
    std::filesystem::permissions(played / "ssh", std::filesystem::perms::owner_all);
    ::setenv("PATH", (played.string() + ":" + std::getenv("PATH")).c_str(), 1);
    hosts = {"first", "second"};
    words = {"printf", "%s|", "two words", "it's", "$HOME"};
  }
  asio::io_context context;
  int failed = 0;
  std::exception_ptr failure;
  asio::co_spawn(context, everywhere(context.get_executor(), hosts, words),
                 [&](std::exception_ptr error, int count) {
                   failure = error;
                   failed = count;
                 });
  context.run();
  std::filesystem::remove_all(played);
  if (failure) {
    std::rethrow_exception(failure);
  }
  return failed == 0 ? 0 : 1;
}
