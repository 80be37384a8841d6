// A password for a program, that nobody else can see: at a descriptor of the child's, and neither
// in its arguments, which everybody can read, nor in its environment, which its own children get.

#include <subproc/subproc.hpp>

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/read_until.hpp>

#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

namespace {

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

} // namespace

int main() {
  const std::string password = "correct horse battery staple";
  // Stands for a program that takes one: `gpg --passphrase-fd 3`, `openssl -pass fd:3`, …
  const std::string script = "IFS= read -r secret <&3; echo \"${#secret} bytes\"; read -r _";

  asio::io_context ctx;
  subproc::process login(
      ctx,
      subproc::shell(script).pass_bytes(3, password + '\n').in(subproc::piped).out(subproc::piped));
  std::string said;
  asio::read_until(login.out(), asio::dynamic_buffer(said), '\n');
  std::cout << "It has read " << said;

  // It waits now, so that it can be looked at.
  const std::string about = "/proc/" + std::to_string(login.pid());
  const std::string visible =
      text_of(about + "/cmdline") + text_of(about + "/environ") + to_string(login.get_command());
  login.in().close();
  login.wait();

  const bool hidden = visible.find(password) == std::string::npos;
  std::cout << (hidden ? "Nobody else could.\n" : "So could everybody else.\n");
  return hidden && said == std::to_string(password.size()) + " bytes\n" ? 0 : 1;
}
