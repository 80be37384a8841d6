#include "../posix/writable_event.hpp"

#include <cerrno>
#include <utility>

#include <sys/epoll.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

class epoll_event_set final : public writable_event {
public:
  explicit epoll_event_set(unique_handle set) : set_(std::move(set)) {}

  native_handle_type handle() const noexcept override { return set_.get(); }
  void full() noexcept override {} // the set knows

private:
  unique_handle set_;
};

} // namespace

std::unique_ptr<writable_event> make_writable_event(native_handle_type handle) {
  unique_handle set(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event wanted{};
  wanted.events = EPOLLOUT;
  if (set && ::epoll_ctl(set.get(), EPOLL_CTL_ADD, handle, &wanted) == 0) {
    return std::make_unique<epoll_event_set>(std::move(set));
  }
  if (errno == EPERM) {
    return {}; // always writable
  }
  throw spawn_error(error_code(errno, detail::system_category()), spawn_step::open, {},
                    "the sink of a tee cannot be watched");
}

} // namespace subproc::detail
