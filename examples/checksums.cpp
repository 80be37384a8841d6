// The checksums of all files of a folder, one sha256sum for each, four at once, in the order of
// the names, and a last sha256sum that reads them all and looks whether they are right.
//
//   checksums [FOLDER]

#include <subproc/subproc.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>

#include <exception>
#include <filesystem>
#include <iostream>
#include <ranges>
#include <set>
#include <string>

namespace {

asio::awaitable<std::string> checksums(asio::any_io_executor ex, std::set<std::string> files) {
  std::string list;
  // A lazy range: a command is made when there is room for it.
  auto commands = files | std::views::transform([](const std::string& file) {
                    return subproc::command("sha256sum", "--", file).capture_output();
                  });
  const subproc::pool_summary all = co_await subproc::async_for_each(
      ex, std::move(commands), {.concurrency = 4, .keep_order = true},
      [&](subproc::pool_result done) {
        list += done.process.out;
        std::cout << done.process.err; // who could not be read
      },
      asio::use_awaitable);
  std::cout << all.succeeded << " files, " << all.failed << " not\n";
  co_return list;
}

asio::awaitable<void> check(asio::any_io_executor ex, std::set<std::string> files) {
  const std::string list = co_await checksums(ex, std::move(files));
  co_await subproc::async_check_output(
      ex, subproc::command("sha256sum", "--check", "--quiet").input(list), asio::use_awaitable);
  std::cout << "all right\n";
}

} // namespace

int main(int argc, char** argv) {
  std::set<std::string> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(argc > 1 ? argv[1] : "/etc/default")) {
    if (entry.is_regular_file()) {
      files.insert(entry.path());
    }
  }
  asio::io_context context;
  std::exception_ptr failure;
  asio::co_spawn(context, check(context.get_executor(), std::move(files)),
                 [&](std::exception_ptr error) { failure = error; });
  context.run();
  if (failure) {
    std::rethrow_exception(failure);
  }
}
