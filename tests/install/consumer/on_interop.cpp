#include "consumer.hpp"

#include <subproc/interop/boost_process.hpp>
#include <subproc/run.hpp>

#include <boost/process/v2/start_dir.hpp>
#if !defined(SUBPROC_BOOST_ASIO)
#include <asio/io_context.hpp>
#endif

#include <iostream>

bool works_with_boost_process() {
  const auto by = subproc::make_boost_launcher(boost::process::v2::process_start_dir("/usr"));
  const bool started =
      subproc::run(subproc::command("pwd").out(subproc::piped).launcher(by)).out == "/usr\n";

  boost::asio::io_context theirs;
  subproc::asio::io_context context;
  subproc::process adopted = subproc::adopt(
      context,
      boost::process::v2::process(theirs, "/bin/sh", std::vector<std::string>{"-c", "exit 3"}),
      subproc::command("adopted"));
  const bool waited = adopted.wait().exit_code() == 3;
  std::cout << "Boost.Process: launcher: " << started << ", adopted: " << waited << '\n';
  return started && waited;
}
