#include <subproc/environment.hpp>

#include "../printing.hpp"
#include "fake_environ.hpp"

#include <array>
#include <cstdlib>

namespace {

using strings = std::vector<std::string>;
using subproc::environment;
using subproc::test::fake_environ;

TEST_SUITE("environment") {
  TEST_CASE("environment: a default one is empty, whatever the caller has") {
    const fake_environ caller({"A=1"});
    CHECK(environment().resolve().empty());
    CHECK_FALSE(environment().inherits());
    CHECK_FALSE(environment().get("A").has_value());
  }

  TEST_CASE("environment: a list is exactly its variables in order") {
    const environment env{{"B", "2"}, {"A", "1"}};
    CHECK(env.resolve() == strings{"B=2", "A=1"});
    CHECK(env.get("A") == "1");
  }

  TEST_CASE("environment: the later of two equal names in a list wins") {
    CHECK(environment({{"A", "1"}, {"B", "2"}, {"A", "3"}}).resolve() == strings{"A=3", "B=2"});
  }

  TEST_CASE("environment: inherit reads the caller when it is resolved, not when it is made") {
    const environment env = environment::inherit();
    const fake_environ caller({"A=1", "B=x=y", "C="});
    CHECK(env.inherits());
    CHECK(env.resolve() == strings{"A=1", "B=x=y", "C="});
    CHECK(env.get("B") == "x=y");
    CHECK(env.get("C") == "");
  }

  TEST_CASE("environment: edits apply in place and new variables follow") {
    const fake_environ caller({"A=1", "B=2", "C=3"});
    const environment env =
        environment::inherit().set("Z", "9").set("B", "two").unset("C").set("Y", "8");
    CHECK(env.resolve() == strings{"A=1", "B=two", "Z=9", "Y=8"});
    CHECK(env.get("B") == "two");
    CHECK_FALSE(env.get("C").has_value());
    CHECK(env.get("A") == "1");
  }

  TEST_CASE("environment: the last edit of a name counts, at the place of the first") {
    const environment env = environment().set("A", "1").set("B", "2").unset("A").set("A", "3");
    CHECK(env.resolve() == strings{"A=3", "B=2"});
    CHECK(env.edits().size() == 2);
    CHECK(environment().set("A", "1").unset("A").resolve().empty());
  }

  TEST_CASE("environment: a name given twice by the caller is passed on once, as getenv sees it") {
    const fake_environ caller({"A=first", "B=2", "A=second"});
    CHECK(std::string(std::getenv("A")) == "first");
    CHECK(environment::inherit().resolve() == strings{"A=first", "B=2"});
    CHECK(environment::inherit().get("A") == "first");
    CHECK(environment::inherit().set("A", "new").resolve() == strings{"A=new", "B=2"});
    CHECK(environment::inherit().unset("A").resolve() == strings{"B=2"});
  }

  TEST_CASE("environment: inherited strings that are no variables stay out") {
    const fake_environ caller({"NOEQUALS", "", "=", "A=1"});
    CHECK(environment::inherit().resolve() == strings{"A=1"});
  }

  TEST_CASE("environment: no caller block at all is an empty one") {
    char** const real = environ;
    environ = nullptr;
    const strings resolved = environment::inherit().set("A", "1").resolve();
    const bool found = environment::inherit().get("PATH").has_value();
    environ = real;
    CHECK(resolved == strings{"A=1"});
    CHECK_FALSE(found);
  }

  TEST_CASE("environment: a name is matched whole") {
    const fake_environ caller({"PATHS=no", "PATH=yes"});
    CHECK(environment::inherit().get("PATH") == "yes");
    CHECK_FALSE(environment::inherit().get("PAT").has_value());
    CHECK_FALSE(environment::inherit().get("").has_value());
    CHECK_FALSE(environment::inherit().get("PATH=yes").has_value());
  }

  TEST_CASE("environment: bytes pass unchanged") {
    const fake_environ caller({"X=\xff\xfe"});
    CHECK(environment::inherit().set("Y", "\x80\n").resolve() == strings{"X=\xff\xfe", "Y=\x80\n"});
  }

  TEST_CASE("environment: clean keeps the short list only, as it is now") {
    environment env;
    {
      const fake_environ caller({"SECRET=1", "PATH=/bin", "LC_ALL=C", "LC_=x", "HOME=/h",
                                 "HOMEX=no", "PATH=/second", "TERM=dumb"});
      env = environment::clean();
    }
    CHECK_FALSE(env.inherits());
    CHECK(env.resolve() == strings{"PATH=/bin", "LC_ALL=C", "LC_=x", "HOME=/h", "TERM=dumb"});
  }

  TEST_CASE("environment: clean takes a list of one's own, with a star at the end") {
    const fake_environ caller({"APP_A=1", "APP_B=2", "APP=3", "PATH=/bin"});
    constexpr std::array<std::string_view, 2> keep = {"APP_*", "NONE"};
    CHECK(environment::clean(keep).resolve() == strings{"APP_A=1", "APP_B=2"});
    CHECK(environment::clean({}).resolve().empty());
  }

  TEST_CASE("environment: setters work on a named value and on a temporary") {
    environment env;
    env.set("A", "1").unset("B");
    CHECK(env == environment().set("A", "1").unset("B"));
    CHECK(env != environment{{"A", "1"}});
    CHECK(environment() != environment::inherit());
  }
}

} // namespace
