#pragma once

#include <subproc/launcher.hpp>

namespace SUBPROC_NAMESPACE::detail {

template <class Redirect>
bool tees(const std::optional<Redirect>& redirect) noexcept {
  return redirect && std::holds_alternative<tee>(*redirect);
}

/// What the three streams come to for the child, with input() and capture_output() worked in: a tee
/// is a pipe to it.
inline input_redirect effective_in(const command& cmd) {
  return cmd.input() ? input_redirect(piped) : cmd.in().value_or(inherit);
}

inline output_redirect effective_out(const command& cmd) {
  return cmd.captures_output() || tees(cmd.out()) ? output_redirect(piped)
                                                  : cmd.out().value_or(inherit);
}

inline error_redirect effective_err(const command& cmd) {
  return cmd.captures_output() || tees(cmd.err()) ? error_redirect(piped)
                                                  : cmd.err().value_or(inherit);
}

/// The scope of a command's stop and drop: what the child leads.
inline scope scope_of(const command& cmd) noexcept {
  if (cmd.has_new_session()) {
    return scope::session;
  }
  return cmd.process_group() == 0 ? scope::group : scope::process;
}

} // namespace subproc::detail
