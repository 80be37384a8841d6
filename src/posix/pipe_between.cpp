#include "../pipe_between.hpp"

#include "system.hpp"

#include <subproc/error.hpp>

#include <cerrno>

namespace SUBPROC_NAMESPACE::detail {

pipe_between make_pipe_between(const std::optional<long long>& size) {
  int ends[2];
  if (sys::open_pipe(ends) < 0) {
    throw spawn_error(error_code(errno, detail::system_category()), spawn_step::pipe, {});
  }
  pipe_between made{unique_handle(ends[0]), unique_handle(ends[1])};
  if (size && sys::set_pipe_size(ends[1], static_cast<int>(*size)) < 0) {
    throw spawn_error(error_code(errno, detail::system_category()), spawn_step::pipe, {});
  }
  return made;
}

} // namespace subproc::detail
