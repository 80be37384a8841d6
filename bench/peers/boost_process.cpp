// Boost.Process v2 on a Boost.Asio loop: its default launcher, which forks, and its vfork one.

#include "../serve.hpp"
#include "../ticker.hpp"

// With std::filesystem, 1.81 forgets to include some of what it uses.
#include <boost/container_hash/hash.hpp>
#include <boost/optional.hpp>
#include <boost/type_traits/decay.hpp>
#include <boost/type_traits/remove_pointer.hpp>
#include <filesystem>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/process/v2.hpp>
#include <boost/process/v2/posix/vfork_launcher.hpp>
#include <boost/version.hpp>

#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace process_v2 = boost::process::v2;

using namespace bench;

/// The vfork launcher has the child renew the loop's descriptors in the memory of the parent, whose
/// numbers stay right only while no lower ones are free: so they are made before all others.
boost::asio::io_context& loop() {
  static boost::asio::io_context context;
  static const boost::asio::steady_timer makes_them(context);
  return context;
}

template <class Launcher>
samples run(const std::string& program, int count) {
  boost::asio::io_context& context = loop();
  const std::filesystem::path path(program);
  const std::vector<std::string> arguments;
  samples measured;
  for (int i = 0; i < count; ++i) {
    bool done = false;
    bool well = false;
    const auto start = now_ns();
    std::int64_t held = 0;
    {
      auto child = Launcher()(context.get_executor(), path, arguments);
      held = now_ns() - start;
      child.async_wait([&](boost::system::error_code error, int code) {
        done = true;
        well = !error && code == 0;
      });
      context.restart();
      while (!done) {
        context.run_one();
      }
    }
    measured.push_back({now_ns() - start, held});
    if (!well) {
      throw std::runtime_error("the child failed");
    }
  }
  return measured;
}

template <class Launcher>
samples tick(const std::string& program, int count) {
  boost::asio::io_context& context = loop();
  ticker<boost::asio::steady_timer> ticks(context);
  run<Launcher>(program, count);
  ticks.stop();
  context.restart();
  context.run();
  return ticks.ticks();
}

} // namespace

int main() {
  service offered;
  offered.version = "Boost.Process v2 of Boost " + std::to_string(BOOST_VERSION / 100000) + '.' +
                    std::to_string(BOOST_VERSION / 100 % 1000);
  offered.run["default"] = &run<process_v2::default_process_launcher>;
  offered.run["vfork"] = &run<process_v2::posix::vfork_launcher>;
  offered.run["tick-default"] = &tick<process_v2::default_process_launcher>;
  offered.run["tick-vfork"] = &tick<process_v2::posix::vfork_launcher>;
  return serve(std::move(offered));
}
