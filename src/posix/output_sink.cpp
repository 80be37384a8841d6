#include "output_sink.hpp"

#include "../platform.hpp"
#include "../redirects.hpp"
#include "open_anew.hpp"
#include "plan.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

[[noreturn]] void fail(spawn_step step, const char* path, const std::string& detail) {
  throw spawn_error(error_code(errno, detail::system_category()), step, path, detail);
}

// A number above those of the three streams: a stream that is closed has to stay so.
unique_handle duplicate(int descriptor) {
  unique_handle own(::fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!own) {
    fail(spawn_step::open, "", "the sink of a tee");
  }
  return own;
}

output_sink open_sink(int descriptor, const char* option) {
  if ((::fcntl(descriptor, F_GETFL) & O_ACCMODE) == O_RDONLY) {
    errno = EBADF;
    fail(spawn_step::arguments, option,
         "descriptor " + std::to_string(descriptor) + " cannot be written");
  }
  const unique_handle own = open_anew(descriptor);
  return output_sink(duplicate(own ? own.get() : descriptor), static_cast<bool>(own));
}

template <class Redirect>
output_sink open_sink(const std::optional<Redirect>& redirect, int number, const char* option) {
  if (!tees(redirect)) {
    return {};
  }
  const auto& sink = std::get<tee>(*redirect).sink;
  if (const auto* path = std::get_if<file>(&sink)) {
    // A named pipe without a reader would hold the caller.
    const unique_handle own = open_file(*path, false, O_NONBLOCK);
    return output_sink(duplicate(own.get()), true);
  }
  const auto* descriptor = std::get_if<fd>(&sink);
  return open_sink(descriptor ? descriptor->value : number, option);
}

} // namespace

output_sink::output_sink(unique_handle handle, bool alone) : handle_(std::move(handle)) {
  struct stat is {};
  ::fstat(handle_.get(), &is);
  if (S_ISREG(is.st_mode) || S_ISBLK(is.st_mode)) {
    return;
  }
  if (S_ISSOCK(is.st_mode)) {
    kind_ = kind::socket;
  } else if (!alone) {
    kind_ = kind::look_first;
  }
  event_ = make_writable_event(handle_.get());
}

std::size_t output_sink::write_some(const void* data, std::size_t size,
                                    error_code& ec) const noexcept {
  std::size_t done = 0;
  if (kind_ == kind::socket) {
    const ssize_t n = ::send(handle_.get(), data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    ec = n >= 0 ? error_code() : error_code(errno, detail::system_category());
    done = n > 0 ? static_cast<std::size_t>(n) : 0;
  } else {
    if (kind_ == kind::look_first) {
      pollfd entry{handle_.get(), POLLOUT, 0};
      if (::poll(&entry, 1, 0) == 0) {
        ec = asio::error::would_block;
        wait_for_room();
        return 0;
      }
      size = std::min<std::size_t>(size, PIPE_BUF); // a pipe that can be written has room for that
    }
    done = detail::write_some(handle_.get(), data, size, ec);
  }
  if (ec) { // for a result: it compares with std::errc, which Asio's own category (1.22.1) does not
    ec = ec.value() == EAGAIN ? error_code(asio::error::would_block)
                              : error_code(ec.value(), detail::system_category());
  }
  if (ec == asio::error::would_block) {
    wait_for_room();
  }
  return done;
}

void output_sink::wait_for_room() const noexcept {
  if (event_) {
    event_->full();
  }
}

output_sinks::output_sinks(const command& cmd) {
  if (tees(cmd.out()) || tees(cmd.err())) {
    require_all_open(cmd);
    out = open_sink(cmd.out(), STDOUT_FILENO, "out");
    err = open_sink(cmd.err(), STDERR_FILENO, "err");
  }
}

} // namespace subproc::detail
