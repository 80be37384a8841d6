#pragma once

// What the tests of reading by lines share.

#include "children.hpp"

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/write.hpp>
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>

namespace subproc::test {

inline constexpr std::size_t one_read = 64 * 1024;
inline constexpr std::size_t no_limit = static_cast<std::size_t>(-1);

struct text_result {
  int calls = 0;
  error_code ec;
  std::string text;

  auto handler() {
    return [this](error_code e, std::string t) {
      ++calls;
      ec = e;
      text = std::move(t);
    };
  }
};

inline void run(asio::io_context& context) {
  context.restart();
  context.run();
}

/// Handles what is ready, and waits for nothing.
inline void poll(asio::io_context& context) {
  context.restart();
  context.poll();
}

inline command prints(const std::string& text) { return steps({"print:" + text}).out(piped); }

/// A child that writes what it is told to: a test decides which bytes arrive together.
struct echo {
  explicit echo(asio::io_context& context) : child(context, steps({"echo"}).in(piped).out(piped)) {}

  void say(std::string_view bytes) {
    asio::write(child.in(), asio::buffer(bytes));
    REQUIRE(readable(child.out().native_handle()));
  }

  process child;
};

} // namespace subproc::test
