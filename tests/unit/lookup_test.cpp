#include <posix/lookup.hpp>

#include "../printing.hpp"
#include "fake_environ.hpp"

namespace {

using strings = std::vector<std::string>;
using subproc::environment;
using subproc::detail::executable_candidates;
using subproc::test::fake_environ;

strings candidates_in(const std::string& path) {
  return executable_candidates("prog", environment{{"PATH", path}});
}

TEST_SUITE("lookup") {
  TEST_CASE("lookup: a slash anywhere makes the program its own path") {
    const fake_environ caller({"PATH=/a:/b"});
    CHECK(executable_candidates("/bin/x", {}) == strings{"/bin/x"});
    CHECK(executable_candidates("./x", {}) == strings{"./x"});
    CHECK(executable_candidates("sub/x", environment{{"PATH", "/c"}}) == strings{"sub/x"});
    CHECK(executable_candidates("x/", {}) == strings{"x/"});
  }

  TEST_CASE("lookup: without env the caller's PATH counts") {
    const fake_environ caller({"PATH=/a:/b"});
    CHECK(executable_candidates("prog", {}) == strings{"/a/prog", "/b/prog"});
  }

  TEST_CASE("lookup: with env only that PATH counts") {
    const fake_environ caller({"PATH=/a:/b"});
    CHECK(candidates_in("/c") == strings{"/c/prog"});
    CHECK(executable_candidates("prog", environment{}) == strings{"/bin/prog", "/usr/bin/prog"});
    CHECK(executable_candidates("prog", environment::inherit()) == strings{"/a/prog", "/b/prog"});
    CHECK(executable_candidates("prog", environment::inherit().set("PATH", "/d")) ==
          strings{"/d/prog"});
    CHECK(executable_candidates("prog", environment::inherit().unset("PATH")) ==
          strings{"/bin/prog", "/usr/bin/prog"});
  }

  TEST_CASE("lookup: no PATH at all is /bin and /usr/bin") {
    const fake_environ caller({"HOME=/h"});
    CHECK(executable_candidates("prog", {}) == strings{"/bin/prog", "/usr/bin/prog"});
  }

  TEST_CASE("lookup: an empty PATH or entry is the child's working directory") {
    CHECK(candidates_in("") == strings{"./prog"});
    CHECK(candidates_in(":/a") == strings{"./prog", "/a/prog"});
    CHECK(candidates_in("/a:") == strings{"/a/prog", "./prog"});
    CHECK(candidates_in("/a::/b") == strings{"/a/prog", "./prog", "/b/prog"});
  }

  TEST_CASE("lookup: relative entries stay relative, for the child to resolve") {
    CHECK(candidates_in("bin:../x") == strings{"bin/prog", "../x/prog"});
  }

  TEST_CASE("lookup: a slash at the end of an entry is not doubled") {
    CHECK(candidates_in("/a/:/") == strings{"/a/prog", "/prog"});
  }

  TEST_CASE("lookup: names mean themselves") {
    CHECK(executable_candidates("~", environment{{"PATH", "/a"}}) == strings{"/a/~"});
    CHECK(executable_candidates("*.sh", environment{{"PATH", "~"}}) == strings{"~/*.sh"});
  }
}

} // namespace
