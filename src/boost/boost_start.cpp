#include <subproc/interop/boost_process.hpp>

#include "../check.hpp"
#include "../platform.hpp"
#include "../posix/foreign_start.hpp"
#include "../redirects.hpp"

#include <cerrno>

namespace SUBPROC_NAMESPACE::detail {
namespace {

// Boost's system category as ours: between the two only the names are the same.
error_code ours(const boost::system::error_code& ec) {
  return ec.category() == boost::system::system_category()
             ? error_code(ec.value(), detail::system_category())
             : error_code(ec);
}

template <class Redirect>
void require_pipe(const Redirect& stream, const unique_handle& pipe, const char* option) {
  if (std::holds_alternative<piped_t>(stream) && !pipe) {
    refuse(option, "is piped, but no pipe of the child was given");
  }
}

} // namespace

boost_start::boost_start(const command& cmd, bool shares_memory)
    : start_(std::make_unique<foreign_start>(cmd, shares_memory)), caller_(process_number()) {}

boost_start::~boost_start() = default;

const char* boost_start::program() const noexcept { return start_->program(); }

// Boost's type for an argv that it is to take as it is; it is not written to.
const char** boost_start::argv() const noexcept { return const_cast<const char**>(start_->argv()); }

void boost_start::make_room(std::size_t kept) { start_->make_room(kept); }

int boost_start::become(const char* const* argv, const char* const* envp,
                        std::span<const int> kept) noexcept {
  return start_->become(argv, envp, kept);
}

launched_child boost_start::finish(pid_type pid) { return start_->finish(pid); }

void boost_start::fail(pid_type pid, const boost::system::error_code& ec) {
  start_->fail(pid, ours(ec), "by Boost.Process");
}

void boost_start::undo(pid_type pid) noexcept {
  if (process_number() != caller_) { // an initializer has thrown in the child
    end_child(ECANCELED);
  }
  start_->discard(pid);
}

void boost_start::end_child(int error) noexcept { start_->give_up(error); }

void require_boost_child(bool is_open) {
  if (!is_open) {
    throw spawn_error(make_error_code(errc::no_child), spawn_step::arguments, "adopt");
  }
}

launched_child adopt_boost_child(const command& cmd, pid_type pid, std::optional<int> wait_status,
                                 adopted_pipes& pipes) {
  require_pipe(effective_in(cmd), pipes.in, "in");
  require_pipe(effective_out(cmd), pipes.out, "out");
  require_pipe(effective_err(cmd), pipes.err, "err");
  make_own_pipe_end(pipes.in);
  make_own_pipe_end(pipes.out);
  make_own_pipe_end(pipes.err);
  launched_child adopted;
  adopted.child =
      wait_status ? make_ended_child(pid, *wait_status) : adopt_foreign(pid, scope_of(cmd));
  adopted.in = std::move(pipes.in);
  adopted.out = std::move(pipes.out);
  adopted.err = std::move(pipes.err);
  return adopted;
}

} // namespace subproc::detail
