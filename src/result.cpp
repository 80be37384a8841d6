#include <subproc/result.hpp>

#include <subproc/error.hpp>

#include "text.hpp"

#include <ostream>

namespace subproc {

const char* to_string(launcher_kind kind) noexcept {
  switch (kind) {
  case launcher_kind::none:
    return "none";
  case launcher_kind::clone3:
    return "clone3";
  case launcher_kind::vfork:
    return "vfork";
  case launcher_kind::fork:
    return "fork";
  case launcher_kind::custom:
    return "custom";
  }
  return "unknown";
}

void completed_process::check_returncode() const {
  if (!cmd.accepts(status)) {
    throw called_process_error(*this);
  }
}

std::string to_string(const completed_process& result) {
  const auto code = result.returncode();
  std::string text = "completed_process(args=" + to_string(result.cmd) +
                     ", returncode=" + (code ? std::to_string(*code) : "unknown");
  if (result.out_captured) {
    text += ", out=" + detail::shown(result.out);
  }
  if (result.err_captured) {
    text += ", err=" + detail::shown(result.err);
  }
  return text + ')';
}

std::ostream& operator<<(std::ostream& os, const completed_process& result) {
  return os << to_string(result);
}

} // namespace subproc
