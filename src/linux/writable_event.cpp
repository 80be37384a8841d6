#include "../posix/writable_event.hpp"

#include <cerrno>

#include <sys/epoll.h>

namespace SUBPROC_NAMESPACE::detail {

unique_handle open_writable_event(native_handle_type handle) {
  unique_handle set(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event wanted{};
  wanted.events = EPOLLOUT;
  if (set && ::epoll_ctl(set.get(), EPOLL_CTL_ADD, handle, &wanted) == 0) {
    return set;
  }
  if (errno == EPERM) {
    return {}; // always writable
  }
  throw spawn_error(error_code(errno, detail::system_category()), spawn_step::open, {},
                    "the sink of a tee cannot be watched");
}

} // namespace subproc::detail
