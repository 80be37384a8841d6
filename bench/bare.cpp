#include "bare.hpp"

#include "ticker.hpp"

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <exception>
#include <list>
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

/// The same with Asio's epoll: what it takes for a child that a loop waits for.
struct asio_contestant {
  samples run(const std::string& program, int count) {
    samples measured;
    for (int i = 0; i < count; ++i) {
      const auto start = now_ns();
      asio::posix::stream_descriptor child(context, loop.spawn(program.c_str()));
      const auto spawned = now_ns();
      const int others = waiting;
      wait_for(child);
      while (waiting > others) {
        context.run_one();
      }
      child.close();
      measured.push_back({now_ns() - start, spawned - start});
    }
    return measured;
  }

  void set_live(int count, const std::string& program) {
    while (waiting < count) {
      live.emplace_back(context, loop.spawn(program.c_str()));
      wait_for(live.back());
    }
    while (count == 0 && waiting > 0) {
      context.run_one();
    }
    if (count == 0) {
      live.clear();
    }
  }

  void wait_for(asio::posix::stream_descriptor& child) {
    ++waiting;
    child.async_wait(child.wait_read, [this, &child](const asio::error_code&) {
      bare::clone3_loop::reap(child.native_handle());
      --waiting;
    });
    context.restart();
  }

  asio::io_context context;
  bare::clone3_loop loop{bare::table::cut};
  std::list<asio::posix::stream_descriptor> live;
  int waiting = 0;
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
  const std::string how = argc > 1 ? argv[1] : "";
  service offered;
  offered.version = "bare system calls";
  const auto offer_clone3 = [&](const auto& clone3) {
    offered.run["clone3"] = [clone3](const std::string& program, int count) {
      return clone3->run(program, count);
    };
    offered.live = [clone3](int count, const std::string& program) {
      clone3->set_live(count, program);
    };
  };
  if (how == "asio") {
    offer_clone3(std::make_shared<asio_contestant>());
  } else {
    const bare::table table = how == "cut" ? bare::table::cut : bare::table::copied;
    offer_clone3(std::make_shared<clone3_contestant>(table));
  }
  offered.run["vfork"] = repeat(&bare::vfork_and_wait4);
  offered.run["posix_spawn"] = repeat(&bare::posix_spawn_and_waitid);
  offered.run["tick-idle"] = &tick_idle;
  offered.run["tick-thread"] = &tick_beside_thread;
  return serve(std::move(offered));
}
