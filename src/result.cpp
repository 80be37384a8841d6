#include <subproc/result.hpp>

#include <subproc/error.hpp>

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

} // namespace subproc
