// Lets this process start only what is on a list. A hook that throws prevents the spawn, and its
// exception reaches whoever asked for it.

#include <subproc/subproc.hpp>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <stdexcept>
#include <string>

namespace {

struct not_allowed : std::runtime_error {
  explicit not_allowed(std::string_view program)
      : std::runtime_error(std::string(program) + " is not on the list of programs") {}
};

// What a name means depends on the PATH and the directory of the child, so the list has whole
// paths. argv[0] does not matter: executable() is what is started.
void allow_only(std::set<std::string, std::less<>> programs) {
  subproc::add_audit_hook([list = std::move(programs)](const subproc::audit_event& event) {
    if (event.kind == subproc::audit_kind::spawn && !list.contains(event.executable())) {
      throw not_allowed(event.executable());
    }
  });
}

bool refused(const subproc::command& cmd) {
  try {
    subproc::run(cmd);
    return false;
  } catch (const not_allowed& error) {
    std::cout << error.what() << '\n';
    return true;
  }
}

} // namespace

int main() {
  allow_only({"/bin/echo"});

  const auto made = std::filesystem::temp_directory_path() /
                    ("allow_list-" + std::filesystem::read_symlink("/proc/self").string());
  const subproc::command touch = subproc::command("/bin/touch", made);
  const bool right =
      subproc::check_output({"/bin/echo", "allowed"}) == "allowed\n" &&
      refused(touch) &&                                               // not listed
      refused(subproc::command("echo", "by name")) &&                 // nor by name
      refused(subproc::command("/bin/echo").executable("/bin/sh")) && // nor in disguise
      refused(subproc::shell("touch \"$0\"", made)) &&                // nor by a shell
      !std::filesystem::exists(made);                                 // nothing was started
  return right ? 0 : 1;
}
