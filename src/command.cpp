#include <subproc/command.hpp>

#include <subproc/exit_status.hpp>
#include <subproc/quote.hpp>

#include <algorithm>
#include <cstddef>
#include <ostream>

namespace SUBPROC_NAMESPACE {

// Repeated numbers are harmless, as in Python. 0, 1 and 2 are left out: in(), out() and err() say
// what they are, and the child has them anyway.
command& command::pass_fds(const std::vector<int>& fds) & {
  pass_fds_.clear();
  for (const int number : fds) {
    const fd_mapping same{number, number};
    const bool stream = number >= 0 && number <= 2;
    if (!stream && std::ranges::find(pass_fds_, same) == pass_fds_.end()) {
      pass_fds_.push_back(same);
    }
  }
  return *this;
}

command& command::executable(std::string path) & {
  if (shell_) {
    args_.front() = path;
  }
  return set(executable_, std::move(path));
}

bool command::accepts(const exit_status& status) const noexcept {
  const std::optional<long long> code = status.exit_code();
  return code && std::ranges::find(ok_codes_, *code) != ok_codes_.end();
}

// A command that cannot start prints as well: its NUL bytes show as `\0`.
std::string to_string(const command& cmd) {
  std::vector<std::string> words = cmd.args();
  for (std::string& word : words) {
    for (std::size_t at = word.find('\0'); at != std::string::npos; at = word.find('\0', at)) {
      word.replace(at, 1, "\\0");
    }
  }
  return join(words);
}

std::ostream& operator<<(std::ostream& os, const command& cmd) { return os << to_string(cmd); }

} // namespace subproc
