// Builds the C++ sources of a folder into a program, as a small make: a dependency graph of real
// compiler calls, in parallel, only what is out of date, with the diagnostics of what failed.
//
//   build_runner [FOLDER]      without one: a folder of its own, built three times

#include <subproc/subproc.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <unistd.h>

namespace {

namespace fs = std::filesystem;

// A file, and the command that makes it of others.
struct target {
  target(asio::any_io_executor ex, fs::path path, subproc::command cmd)
      : file(std::move(path)), make(std::move(cmd)),
        done(ex, asio::steady_timer::time_point::max()) {}

  fs::path file;
  subproc::command make;
  std::vector<fs::path> sources{};
  std::vector<target*> needs{};
  enum { waiting, fresh, made, failed } state = waiting;
  asio::steady_timer done; // cancelled when the state is known
};

bool out_of_date(const target& what) {
  std::error_code none;
  const auto made = fs::last_write_time(what.file, none);
  const auto newer = [&](const fs::path& source) {
    return fs::last_write_time(source, none) > made || none; // or gone: a header had its name
  };
  return none || std::ranges::any_of(what.sources, newer) ||
         std::ranges::any_of(what.needs, [](target* each) { return each->state == target::made; });
}

asio::awaitable<void> build(target& what, subproc::pool& jobs) {
  for (target* each : what.needs) {
    while (each->state == target::waiting) {
      subproc::error_code cancelled; // which is how it says that it is done
      co_await each->done.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    }
  }
  if (std::ranges::any_of(what.needs, [](target* each) { return each->state == target::failed; })) {
    what.state = target::failed;
  } else if (!out_of_date(what)) {
    what.state = target::fresh;
  } else {
    try {
      co_await jobs.async_submit(what.make, asio::use_awaitable);
      what.state = target::made;
      std::cout << "made " << what.file.filename().string() << '\n';
    } catch (const subproc::called_process_error& error) {
      what.state = target::failed;
      std::cout << "failed: " << to_string(error.result().cmd) << '\n' << error.result().err;
    }
  }
  what.done.cancel();
}

// What the compiler has found out about the headers: "main.o: main.cpp greet.hpp".
std::vector<fs::path> sources_of(const fs::path& object, const fs::path& source) {
  std::vector<fs::path> all{source};
  std::ifstream from(fs::path(object).replace_extension(".d"));
  for (std::string word; from >> word;) {
    if (word.back() != ':' && word != "\\") {
      all.emplace_back(word);
    }
  }
  return all;
}

// Whether the program is there and up to date now.
bool build_folder(const fs::path& folder) {
  const char* const chosen = std::getenv("CXX");
  const std::string compiler = chosen ? chosen : "c++";
  asio::io_context context;
  std::deque<target> targets;
  std::vector<std::string> link{compiler, "-o", folder / "program"};
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".cpp") {
      const fs::path object = fs::path(entry.path()).replace_extension(".o");
      target& made = targets.emplace_back(
          context.get_executor(), object,
          subproc::command(compiler, "-MMD", "-c", entry.path().string(), "-o", object.string()));
      made.sources = sources_of(object, entry.path());
      link.push_back(object);
    }
  }
  target program(context.get_executor(), folder / "program", subproc::command(link));
  for (target& each : targets) {
    program.needs.push_back(&each);
  }
  subproc::pool jobs(context); // one a core
  std::exception_ptr failure;
  const auto start = [&](target& what) {
    what.make.capture_output().check();
    asio::co_spawn(context, build(what, jobs),
                   [&](std::exception_ptr error) { failure = failure ? failure : error; });
  };
  std::ranges::for_each(targets, start);
  start(program);
  context.run();
  if (failure) {
    std::rethrow_exception(failure);
  }
  return program.state != target::failed;
}

void write(const fs::path& file, std::string_view text) { std::ofstream(file) << text; }

} // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    return build_folder(argv[1]) ? 0 : 1;
  }
  const fs::path folder =
      fs::temp_directory_path() / ("build_runner." + std::to_string(::getpid()));
  fs::create_directory(folder);
  write(folder / "greet.hpp", "int greet();\n");
  write(folder / "greet.cpp", "#include \"greet.hpp\"\nint greet() { return 42; }\n");
  write(folder / "main.cpp", "#include \"greet.hpp\"\nint main() { return greet(); }\n");
  bool good = build_folder(folder);
  good = good && subproc::call(subproc::command(folder / "program")).exit_code() == 42;
  std::cout << "again: nothing to do\n";
  good = good && build_folder(folder);
  std::cout << "a source with an error:\n";
  write(folder / "greet.cpp", "int greet() { return forty_two; }\n");
  good = good && !build_folder(folder);
  fs::remove_all(folder);
  return good ? 0 : 1;
}
