#include <subproc/redirect.hpp>

#include "../printing.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <type_traits>

namespace {

using namespace subproc;
using test::numbered_fd;

// merge is for stderr alone.
static_assert(std::is_convertible_v<merge_t, error_redirect>);
static_assert(!std::is_constructible_v<output_redirect, merge_t>);
static_assert(!std::is_constructible_v<input_redirect, merge_t>);
static_assert(!std::is_constructible_v<output_redirect, memory>);

// There is nothing to pass on of an input.
static_assert(std::is_convertible_v<subproc::tee, output_redirect> &&
              std::is_convertible_v<subproc::tee, error_redirect>);
static_assert(!std::is_constructible_v<input_redirect, subproc::tee>);

// A bare number or string could mean several things.
static_assert(!std::is_convertible_v<int, output_redirect>);
static_assert(!std::is_convertible_v<const char*, output_redirect>);
static_assert(!std::is_convertible_v<std::string, error_redirect>);

template <class T>
constexpr bool fits_everywhere = std::conjunction_v<std::is_convertible<T, input_redirect>,
                                                    std::is_convertible<T, output_redirect>,
                                                    std::is_convertible<T, error_redirect>>;
static_assert(fits_everywhere<inherit_t> && fits_everywhere<null_t> && fits_everywhere<piped_t>);
static_assert(fits_everywhere<fd> && fits_everywhere<file>);

struct socket_like {
  native_handle_type native_handle() { return native_handle_type(7); }
};

TEST_SUITE("redirect") {
  TEST_CASE("redirect: a default one inherits") {
    CHECK(std::holds_alternative<inherit_t>(input_redirect()));
    CHECK(std::holds_alternative<inherit_t>(output_redirect()));
    CHECK(std::holds_alternative<inherit_t>(error_redirect()));
  }

  TEST_CASE("redirect: each word selects its own alternative") {
    CHECK(std::holds_alternative<null_t>(output_redirect(null)));
    CHECK(std::holds_alternative<piped_t>(output_redirect(piped)));
    CHECK(std::holds_alternative<inherit_t>(output_redirect(inherit)));
    CHECK(std::holds_alternative<merge_t>(error_redirect(merge)));
    CHECK(std::holds_alternative<fd>(output_redirect(numbered_fd(2))));
    CHECK(std::holds_alternative<file>(output_redirect(file("log"))));
    CHECK(std::holds_alternative<memory>(input_redirect(memory("bytes"))));
  }

  TEST_CASE("redirect: a descriptor comes from a number or an object that has one") {
    socket_like socket;
    CHECK(fd(socket) == numbered_fd(7));
    CHECK(fd(numbered_fd(3).value) == numbered_fd(3));
  }

  TEST_CASE("redirect: a file is opened as its stream needs unless told") {
    CHECK((file("log").mode == open_mode::automatic));
    CHECK((file("log", open_mode::append).mode == open_mode::append));
  }

  TEST_CASE("redirect: the path of a file is any kind of text, or a path") {
    const std::filesystem::path path("log");
    const std::string text("log");
    CHECK((file(path, open_mode::append) == file("log", open_mode::append)));
    CHECK(file(text).path == "log");
    CHECK(file(std::string_view(text)).path == "log");
    CHECK(file("log").path == "log");
  }

  TEST_CASE("redirect: a tee passes on to the caller's own stream unless told") {
    CHECK(std::holds_alternative<inherit_t>(subproc::tee().sink));
    CHECK((subproc::tee(numbered_fd(3)).sink == subproc::tee(numbered_fd(3)).sink));
    CHECK((subproc::tee(file("log", open_mode::append)) != subproc::tee(file("log"))));
    CHECK((output_redirect(subproc::tee()) != output_redirect(piped)));
  }

  TEST_CASE("redirect: equal means the same kind with the same contents") {
    CHECK((output_redirect(numbered_fd(2)) == output_redirect(numbered_fd(2))));
    CHECK((output_redirect(numbered_fd(2)) != output_redirect(numbered_fd(1))));
    CHECK((output_redirect(null) != output_redirect(inherit)));
    CHECK((input_redirect(memory("a")) == input_redirect(memory("a"))));
    CHECK((input_redirect(memory("a")) != input_redirect(memory("b"))));
    CHECK((input_redirect(file("a")) != input_redirect(file("a", open_mode::read))));
  }
}

} // namespace
