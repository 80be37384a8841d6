#include <subproc/newlines.hpp>

#include <doctest/doctest.h>

#include <string>

namespace {

using subproc::normalise_newlines;

TEST_SUITE("newlines") {
  TEST_CASE("newlines: each of the three line ends becomes a line feed, others stay") {
    CHECK(normalise_newlines("a\r\nb\rc\nd") == "a\nb\nc\nd");
    CHECK(normalise_newlines("\r") == "\n");
    CHECK(normalise_newlines("\r\r\n\r") == "\n\n\n");
    CHECK(normalise_newlines("\n\r") == "\n\n");
    CHECK(normalise_newlines("a\r\n") == "a\n");
    CHECK(normalise_newlines("a\n\vb\f\xc2\x85") == "a\n\vb\f\xc2\x85");
    CHECK(normalise_newlines("").empty());
  }

  TEST_CASE("newlines: what is normal stays as it is") {
    const std::string text = "a\n\nb\n";
    CHECK(normalise_newlines(text) == text);
    CHECK(normalise_newlines(normalise_newlines("\r\r\n")) == "\n\n");
  }
}

} // namespace
