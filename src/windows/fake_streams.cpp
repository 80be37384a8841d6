// The piped streams have both ends overlapped, so that one wait is for the stream and for what may
// wake the thread. What a command is given as `fd(n)` is somebody else's and may block: its calls
// are ended by CancelSynchronousIo.

#include "../fake_streams.hpp"

#include "../platform.hpp"
#include "../redirects.hpp"
#include "files.hpp"
#include "overlapped_pipe.hpp"

#include <subproc/memory_file.hpp>

#include <array>
#include <atomic>
#include <utility>
#include <variant>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr unsigned long pipe_size = 64 * 1024;
constexpr unsigned ended = 1; // as TerminateProcess by process_child

unique_handle public_handle(owned_handle handle) { return unique_handle(handle.release()); }

unique_handle make_manual_event() {
  unique_handle event(::CreateEventW(nullptr, TRUE, FALSE, nullptr));
  if (!event) {
    throw spawn_error(last_error(), spawn_step::pipe, {});
  }
  return event;
}

// None for what goes nowhere.
template <class Redirect>
unique_handle stream_of(const Redirect& what, const char* option, unique_handle& callers) {
  constexpr bool reads = std::is_same_v<Redirect, input_redirect>;
  if (std::holds_alternative<piped_t>(what)) {
    own_pipe made = make_own_pipe(
        reads ? overlapped_pipe::direction::write : overlapped_pipe::direction::read, pipe_size);
    callers = std::move(made.ours);
    return std::move(made.other);
  }
  if (const auto* handle = std::get_if<fd>(&what)) {
    return public_handle(duplicate_of(handle->value, option, false));
  }
  if (const auto* path = std::get_if<file>(&what)) {
    return public_handle(open_file(*path, reads, false));
  }
  if constexpr (reads) {
    if (const auto* bytes = std::get_if<memory>(&what)) {
      return memory_file(bytes->bytes);
    }
  }
  return {};
}

class pipe_streams final : public fake_streams {
public:
  pipe_streams(const command& cmd, launched_child& callers) : woken_(make_manual_event()) {
    in_ = stream_of(effective_in(cmd), "in", callers.in);
    out_ = stream_of(effective_out(cmd), "out", callers.out);
    const error_redirect err = effective_err(cmd);
    merged_ = std::holds_alternative<merge_t>(err);
    if (!merged_) {
      err_ = stream_of(err, "err", callers.err);
    }
  }

  void wake() noexcept override { ::SetEvent(woken_.get()); }

  void end() noexcept override {
    ended_ = true;
    wake();
    // Again and again: the thread may be just about to call. A device that takes no cancelling
    // keeps it.
    for (int tries = 0; calling_ && tries < 1000; ++tries) {
      ::CancelSynchronousIo(thread_.get());
      ::Sleep(1);
    }
  }

  void wait(steady_clock::time_point until) noexcept override { ready(invalid_handle, until); }

  std::size_t read(char* data, std::size_t size, error_code& ec) noexcept override {
    if (!in_) {
      ec = asio::error::eof;
      return 0;
    }
    const auto read_it = [&] { return detail::read_some(in_.get(), data, size, ec); };
    if (!find_pipe(in_.get())) {
      return call(read_it, ec);
    }
    const std::size_t n = read_it();
    if (ec == asio::error::would_block) {
      ready(in_.get());
    }
    return n;
  }

  // A pipe takes bytes and says of the next write, be it of none, what became of them.
  std::size_t write(bool to_err, std::string_view bytes, error_code& ec) noexcept override {
    const unique_handle& to = to_err && !merged_ ? err_ : out_;
    ec = {};
    if (!to) {
      return bytes.size();
    }
    const auto write_it = [&] {
      return detail::write_some(to.get(), bytes.data(), bytes.size(), ec);
    };
    if (!find_pipe(to.get())) {
      return bytes.empty() ? 0 : call(write_it, ec);
    }
    const std::size_t n = write_it();
    if (ec == asio::error::would_block) {
      ready(to.get());
    }
    return n;
  }

  void close() noexcept override {
    in_.reset();
    out_.reset();
    err_.reset();
  }

private:
  // Until the pipe is, or something has woken this.
  void ready(native_handle_type pipe,
             steady_clock::time_point until = steady_clock::time_point::max()) noexcept {
    std::array<wait_entry, 2> entries{wait_entry{woken_.get()}, wait_entry{pipe}};
    try {
      wait_ready(entries, until);
    } catch (...) {
      return; // the system is out of memory: what is looked at next decides
    }
    if (entries[0].ready) {
      ::ResetEvent(woken_.get());
    }
  }

  // A call that may block.
  template <class Call>
  std::size_t call(Call body, error_code& ec) noexcept {
    if (!thread_) {
      HANDLE self = nullptr;
      ::DuplicateHandle(::GetCurrentProcess(), ::GetCurrentThread(), ::GetCurrentProcess(), &self,
                        0, FALSE, DUPLICATE_SAME_ACCESS);
      thread_.reset(self);
    }
    calling_ = true;
    const std::size_t n = ended_ ? 0 : body();
    calling_ = false;
    if (ended_ || ec == error_code(ERROR_OPERATION_ABORTED, asio::error::get_system_category())) {
      ec = asio::error::would_block;
    } else if (ec == error_code(ERROR_BROKEN_PIPE, asio::error::get_system_category())) {
      ec = asio::error::broken_pipe;
    }
    return n;
  }

  unique_handle woken_;
  unique_handle in_;
  unique_handle out_;
  unique_handle err_;
  bool merged_ = false;
  owned_handle thread_; ///< there before calling_ is
  std::atomic<bool> calling_ = false;
  std::atomic<bool> ended_ = false;
};

} // namespace

std::unique_ptr<fake_streams> open_fake_streams(const command& cmd, launched_child& callers) {
  return std::make_unique<pipe_streams>(cmd, callers);
}

fake_exit make_fake_exit() {
  fake_exit made;
  made.told = make_manual_event();
  HANDLE teller = nullptr;
  if (!::DuplicateHandle(::GetCurrentProcess(), made.told.get(), ::GetCurrentProcess(), &teller, 0,
                         FALSE, DUPLICATE_SAME_ACCESS)) {
    throw spawn_error(last_error(), spawn_step::pipe, {});
  }
  made.teller.reset(teller);
  return made;
}

void tell_exit(unique_handle teller) noexcept { ::SetEvent(teller.get()); }

bool ends_a_program(int) noexcept { return true; }

exit_status ended_by(int) noexcept { return exit_status::from_code(ended); }

exit_status ended_by_broken_pipe() noexcept { return exit_status::from_code(ended); }

} // namespace subproc::detail
