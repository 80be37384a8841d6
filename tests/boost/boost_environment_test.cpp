#include <subproc/interop/boost_process.hpp>

#include "../children.hpp"

#include <subproc/run.hpp>

#include <boost/asio/read.hpp>
#include <boost/asio/readable_pipe.hpp>

#include <stdlib.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

using namespace subproc;
using namespace subproc::test;
namespace bp = boost::process::v2;

// What a child that Boost.Process has started with these variables is given.
std::vector<std::string>
given_by_boost(const std::vector<bp::environment::key_value_pair>& variables) {
  boost::asio::io_context context;
  boost::asio::readable_pipe out(context);
  bp::process child(context, "/usr/bin/env", std::vector<std::string>{"-0"},
                    bp::process_stdio{{}, out, {}}, bp::process_environment(variables));
  std::string text;
  boost::system::error_code end;
  boost::asio::read(out, boost::asio::dynamic_buffer(text), end);
  CHECK(child.wait() == 0);
  std::vector<std::string> found;
  for (std::size_t begin = 0, stop = 0; (stop = text.find('\0', begin)) != std::string::npos;
       begin = stop + 1) {
    found.push_back(text.substr(begin, stop - begin));
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> given_by_us(const environment& variables) {
  const std::string text = run(command("/usr/bin/env", "-0").env(variables).out(piped)).out;
  std::vector<std::string> found;
  for (std::size_t begin = 0, stop = 0; (stop = text.find('\0', begin)) != std::string::npos;
       begin = stop + 1) {
    found.push_back(text.substr(begin, stop - begin));
  }
  std::sort(found.begin(), found.end());
  return found;
}

// The program that our look-up starts; empty: none.
std::string started_by_us(const std::string& name, const environment& env) {
  try {
    std::string out = run(command(name).env(env).out(piped)).out;
    return out.substr(0, out.find('\n'));
  } catch (const spawn_error&) {
    return "";
  }
}

std::string found_by_boost(const std::string& name, const environment& env) {
  return bp::environment::find_executable(name, environment_to_boost(env)).string();
}

TEST_SUITE("boost_environment") {
  TEST_CASE("boost environment: a child is given the same by Boost.Process and by us") {
    const environment tables[] = {
        {},
        {{"A", "1"}},
        {{"A", ""}, {"B", "with = in it"}, {"UTF", "\xc3\xa4"}, {"BYTES", "\xff\xfe"}},
        environment::inherit().set("ADDED", "x").unset("HOME"),
        environment::clean(),
    };
    for (const environment& variables : tables) {
      const std::vector<std::string> ours = given_by_us(variables);
      CHECK(given_by_boost(environment_to_boost(variables)) == ours);
      CHECK(given_by_us(environment_from_boost(environment_to_boost(variables))) == ours);
    }
  }

  TEST_CASE("boost environment: ours is made of each form that Boost.Process has") {
    const std::unordered_map<bp::environment::key, bp::environment::value> map{{"A", "1"},
                                                                               {"B", "x=y"}};
    CHECK(environment_from_boost(map).get("A") == "1");
    CHECK(environment_from_boost(map).get("B") == "x=y");
    CHECK(!environment_from_boost(map).inherits());
    const std::vector<bp::environment::key_value_pair> pairs{{"A", "1"}, {"B", "x=y"}};
    CHECK(environment_from_boost(pairs).get("B") == "x=y");
    const std::vector<std::string> strings{"A=1", "none", "B=", "A=2"};
    const environment of_strings = environment_from_boost(strings);
    CHECK(of_strings.get("A") == "2");
    CHECK(of_strings.get("B") == "");
    CHECK(of_strings.edits().size() == 2);
    CHECK(given_by_us(environment_from_boost(bp::environment::current())) ==
          given_by_us(environment::inherit()));
  }

  TEST_CASE("boost environment: look-up by find_executable and by us, and where they differ") {
    const own_folder folder;
    std::filesystem::create_directory(folder.path() / "first");
    std::filesystem::create_directory(folder.path() / "second");
    std::filesystem::create_directory(folder.path() / "first/folder");
    const std::string script = "#!/bin/sh\necho \"$0\"\n";
    folder.write("first/both", script, 0700);
    folder.write("second/both", script, 0700);
    folder.write("first/locked", script, 0600);
    folder.write("second/locked", script, 0700);
    folder.write("second/folder", script, 0700);
    folder.write("second/later", script, 0700);
    const std::string first = folder / "first";
    const std::string second = folder / "second";
    const environment both{{"PATH", first + ":" + second}};
    const environment with_gaps{{"PATH", "/no/such:" + second + "/"}};

    struct {
      const char* name;
      const environment* env;
      std::string path;
    } const same[] = {{"both", &both, first + "/both"},
                      {"locked", &both, second + "/locked"}, // not executable: the next one
                      {"folder", &both, second + "/folder"}, // a folder is no program
                      {"later", &both, second + "/later"},
                      {"later", &with_gaps, second + "/later"},
                      {"missing", &both, ""}};
    for (const auto& row : same) {
      CAPTURE(row.name);
      CHECK(started_by_us(row.name, *row.env) == row.path);
      CHECK(found_by_boost(row.name, *row.env) == row.path);
    }

    // Without PATH ours is the system's default path, Boost's none.
    const environment no_path{{"A", "1"}};
    CHECK(run(command("sh", "-c", "exit 0").env(no_path)).status.success());
    CHECK(found_by_boost("sh", no_path).empty());
    // A name with a slash is a path to us, and one below each entry of PATH to Boost.
    const environment parent{{"PATH", folder.path().string()}};
    CHECK(started_by_us("second/later", parent).empty());
    CHECK(found_by_boost("second/later", parent) == second + "/later");
    // Boost looks in the caller's PATH and from the caller's directory; we in the child's.
    const environment relative{{"PATH", "second"}};
    CHECK(found_by_boost("later", relative).empty());
    CHECK(run(command("later").env(relative).cwd(folder.path()).out(piped)).out ==
          "second/later\n");
    CHECK(bp::environment::find_executable("later").empty());
    CHECK(started_by_us("later", both) == second + "/later");
  }
}

} // namespace
