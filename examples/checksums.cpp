// The checksums of all files of a folder, one sha256sum for each, four at once, in the order of
// the names, and a last sha256sum that reads them all and looks whether they are right.
//
//   checksums [FOLDER]

#include <subproc/subproc.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

namespace {

asio::awaitable<std::string> checksums(asio::any_io_executor ex, std::vector<std::string> files) {
  std::string list;
  // A command is made when there is room for it.
  const auto source = [files, at = std::size_t(0)](subproc::command& next) mutable {
    if (at == files.size()) {
      return subproc::next_command::end;
    }
    next = subproc::command("sha256sum", "--", files[at++]).capture_output();
    return subproc::next_command::ready;
  };
  const auto take = [&](const subproc::pool_result& done) {
    list += done.process.out;
    std::cout << done.process.err; // who could not be read
  };
  const subproc::pool_options how{.concurrency = 4, .keep_order = true};
  const subproc::pool_summary all =
      co_await subproc::async_for_each(ex, source, how, take, asio::use_awaitable);
  std::cout << all.succeeded << " files, " << all.failed << " not\n";
  co_return list;
}

asio::awaitable<void> check(asio::any_io_executor ex, std::vector<std::string> files) {
  const std::string list = co_await checksums(ex, std::move(files));
  co_await subproc::async_check_output(
      ex, subproc::command("sha256sum", "--check", "--quiet").input(list), asio::use_awaitable);
  std::cout << "all right\n";
}

} // namespace

int main(int argc, char** argv) {
  std::vector<std::string> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(argc > 1 ? argv[1] : "/etc/default")) {
    if (entry.is_regular_file()) {
      files.push_back(entry.path());
    }
  }
  std::ranges::sort(files);
  asio::io_context context;
  std::exception_ptr failure;
  asio::co_spawn(context, check(context.get_executor(), std::move(files)),
                 [&](std::exception_ptr error) { failure = error; });
  context.run();
  if (failure) {
    std::rethrow_exception(failure);
  }
}
