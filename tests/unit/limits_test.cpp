#include <subproc/limits.hpp>

#include <subproc/command.hpp>

#include "printing.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace subproc;

TEST_SUITE("limits") {

  TEST_CASE("limits: each resource is found by its name, in any case and with its prefix") {
    std::set<std::string> names;
    for (int i = 0; i <= static_cast<int>(resource::stack); ++i) {
      const auto which = static_cast<resource>(i);
      const std::string name = to_string(which);
      CAPTURE(name);
      CHECK(names.insert(name).second);
      CHECK((find_resource(name) == which));
      CHECK((find_resource("RLIMIT_" + name) == which));
    }
    CHECK((find_resource("RLIMIT_NOFILE") == resource::nofile));
    CHECK((find_resource("Nproc") == resource::nproc));
    for (const char* const unknown : {"", "rlimit_", "nofiles", "RLIMIT_RLIMIT_AS", "RLIMITAS"}) {
      CHECK_MESSAGE(!find_resource(unknown), unknown);
    }
  }

  TEST_CASE("limits: a name is as good as its resource, and an unknown one is kept") {
    CHECK((resource_limit("RLIMIT_CORE", 0) == resource_limit(resource::core, 0)));
    CHECK((resource_limit("core", 0, unlimited) == resource_limit(resource::core, 0, unlimited)));
    CHECK((resource_limit("core", 0) != resource_limit("core", 0, 0)));
    CHECK((std::get<std::string>(resource_limit("cores", 0).which) == "cores"));
  }

  TEST_CASE("limits: a command carries the group, and compares it by value") {
    const limits some{.rlimits = {{"nofile", 64, 128}}, .nice = 5, .cpus = {{0}}};
    const command plain("true");
    CHECK(plain.get<limits>() == nullptr);
    const command one = command("true").with(some);
    REQUIRE(one.get<limits>() != nullptr);
    CHECK((*one.get<limits>() == some));
    CHECK((one != plain));
    CHECK((one == command("true").with(limits(some))));
    limits other = some;
    other.oom_score_adj = 0;
    command two = one;
    two.with(other); // the last one counts, and a copy is not touched
    CHECK((*two.get<limits>() == other));
    CHECK((*one.get<limits>() == some));
    CHECK((one != two));
  }

} // TEST_SUITE
