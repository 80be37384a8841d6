// Beside Boost.Process v2: its initializers in our starts, its child as one of ours.

#include <subproc/interop/boost_process.hpp>
#include <subproc/subproc.hpp>

#include <asio/io_context.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/process/v2/start_dir.hpp>
#include <boost/process/v2/stdio.hpp>

#include <iostream>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
namespace bp = boost::process::v2;

// Boost starts it, with initializers of Boost's or of one's own; all else is ours.
std::string start_through_boost() {
  const auto by_boost = subproc::make_boost_launcher(bp::process_start_dir("/"));
  return subproc::check_output(subproc::command("pwd").timeout(10s).launcher(by_boost));
}

// Boost has started it: it gets our communicate, time-outs and stop.
std::string adopt_from_boost(asio::io_context& context) {
  boost::asio::io_context theirs;
  boost::asio::readable_pipe out(theirs);
  bp::process child(theirs, "/bin/echo", std::vector<std::string>{"hello"},
                    bp::process_stdio{{}, out, {}});

  subproc::process ours =
      subproc::adopt(context, std::move(child), subproc::command("echo", "hello"),
                     {{}, subproc::unique_handle(out.release()), {}});
  std::string text;
  ours.async_communicate({}, 10s, [&](const auto&, subproc::communicate_result result) {
    text = std::move(result.out);
  });
  context.run();
  return text;
}

int main() {
  asio::io_context context;
  std::cout << "started through Boost.Process in " << start_through_boost() //
            << "adopted from it: " << adopt_from_boost(context);

  // The variables that a child of ours would get, for one of Boost's, and back.
  const auto variables =
      subproc::environment_to_boost(subproc::environment::clean().set("COLOUR", "blue"));
  std::cout << "COLOUR is " << *subproc::environment_from_boost(variables).get("COLOUR") << '\n';
}
