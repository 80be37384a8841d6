#include "bare.hpp"

#include "ticker.hpp"

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <exception>
#include <memory>
#include <thread>

namespace {

using namespace bench;

/// A clone3 loop with the children that live beside the measured ones.
struct clone3_contestant {
  explicit clone3_contestant(bare::table how) : loop(how) {}

  samples run(const std::string& program, int count) {
    samples measured;
    for (int i = 0; i < count; ++i) {
      measured.push_back(loop.spawn_and_reap(program.c_str()));
    }
    return measured;
  }

  void set_live(int count, const std::string& program) {
    for (; live < count; ++live) {
      loop.watch(loop.spawn(program.c_str()));
    }
    for (; count == 0 && live > 0; --live) {
      loop.reap_next();
    }
  }

  bare::clone3_loop loop;
  int live = 0;
};

template <class Spawn>
auto repeat(Spawn spawn) {
  return [spawn](const std::string& program, int count) {
    samples measured;
    for (int i = 0; i < count; ++i) {
      measured.push_back(spawn(program.c_str()));
    }
    return measured;
  };
}

/// The ticks of a loop that has nothing else to do.
samples tick_idle(const std::string&, int count) {
  asio::io_context context;
  ticker<asio::steady_timer> ticks(context);
  while (ticks.ticks().size() < static_cast<std::size_t>(count)) {
    context.run_one();
  }
  return ticks.ticks();
}

/// The ticks of a loop while a thread beside it spawns.
samples tick_beside_thread(const std::string& program, int count) {
  asio::io_context context;
  ticker<asio::steady_timer> ticks(context);
  std::exception_ptr problem;
  std::thread spawner([&] {
    try {
      bare::clone3_loop loop(bare::table::copied);
      for (int i = 0; i < count; ++i) {
        loop.spawn_and_reap(program.c_str());
      }
    } catch (...) {
      problem = std::current_exception();
    }
    asio::post(context, [&ticks] { ticks.stop(); });
  });
  context.run();
  spawner.join();
  if (problem) {
    std::rethrow_exception(problem);
  }
  return ticks.ticks();
}

} // namespace

int main(int argc, char** argv) {
  const bool cut = argc > 1 && std::string(argv[1]) == "cut";
  const auto clone3 =
      std::make_shared<clone3_contestant>(cut ? bare::table::cut : bare::table::copied);
  service offered;
  offered.version = "bare system calls";
  offered.run["clone3"] = [clone3](const std::string& program, int count) {
    return clone3->run(program, count);
  };
  offered.run["vfork"] = repeat(&bare::vfork_and_wait4);
  offered.run["posix_spawn"] = repeat(&bare::posix_spawn_and_waitid);
  offered.run["tick-idle"] = &tick_idle;
  offered.run["tick-thread"] = &tick_beside_thread;
  offered.live = [clone3](int count, const std::string& program) {
    clone3->set_live(count, program);
  };
  return serve(std::move(offered));
}
