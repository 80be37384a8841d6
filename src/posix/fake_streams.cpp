#include "../fake_streams.hpp"

#include "../platform.hpp"
#include "../redirects.hpp"
#include "plan.hpp"
#include "system.hpp"

#include <subproc/memory_file.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>
#include <variant>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::size_t piece = 4096; // PIPE_BUF: what poll calls writable takes it at once

[[noreturn]] void fail(spawn_step step) {
  throw spawn_error(error_code(errno, detail::system_category()), step, {});
}

struct two_ends {
  unique_handle read_end;
  unique_handle write_end;
};

two_ends open_ends() {
  int ends[2];
  if (sys::open_pipe(ends) < 0) {
    fail(spawn_step::pipe);
  }
  return {unique_handle(ends[0]), unique_handle(ends[1])};
}

// The caller's end of a pipe.
unique_handle not_blocking(unique_handle end) {
  if (::fcntl(end.get(), F_SETFL, O_NONBLOCK) < 0) {
    fail(spawn_step::pipe);
  }
  return end;
}

unique_handle duplicate_of(int descriptor) {
  unique_handle made(::fcntl(descriptor, F_DUPFD_CLOEXEC, 3));
  if (!made) {
    fail(spawn_step::dup2);
  }
  return made;
}

// None for what goes nowhere.
template <class Redirect>
unique_handle output_of(const Redirect& what, unique_handle& callers) {
  if (std::holds_alternative<piped_t>(what)) {
    two_ends made = open_ends();
    callers = not_blocking(std::move(made.read_end));
    return std::move(made.write_end);
  }
  if (const auto* descriptor = std::get_if<fd>(&what)) {
    return duplicate_of(descriptor->value);
  }
  if (const auto* path = std::get_if<file>(&what)) {
    return open_file(*path, false);
  }
  return {};
}

unique_handle input_of(const input_redirect& what, unique_handle& callers) {
  if (std::holds_alternative<piped_t>(what)) {
    two_ends made = open_ends();
    callers = not_blocking(std::move(made.write_end));
    return std::move(made.read_end);
  }
  if (const auto* descriptor = std::get_if<fd>(&what)) {
    return duplicate_of(descriptor->value);
  }
  if (const auto* path = std::get_if<file>(&what)) {
    return open_file(*path, true);
  }
  if (const auto* bytes = std::get_if<memory>(&what)) {
    return memory_file(bytes->bytes);
  }
  return {};
}

// One poll(2) for the stream that the thread is at and for what may wake it.
class pipe_streams final : public fake_streams {
public:
  pipe_streams(const command& cmd, launched_child& callers) {
    two_ends waking = open_ends();
    wake_ = not_blocking(std::move(waking.write_end));
    woken_ = not_blocking(std::move(waking.read_end));
    in_ = input_of(effective_in(cmd), callers.in);
    out_ = output_of(effective_out(cmd), callers.out);
    const error_redirect err = effective_err(cmd);
    if (std::holds_alternative<merge_t>(err)) {
      err_ = out_ ? duplicate_of(out_.get()) : unique_handle();
    } else {
      err_ = output_of(err, callers.err);
    }
  }

  void wake() noexcept override {
    [[maybe_unused]] const ssize_t n = ::write(wake_.get(), "", 1); // full: it is awake enough
  }

  void end() noexcept override { wake(); }

  void wait(steady_clock::time_point until) noexcept override {
    ready(invalid_handle, false, until);
  }

  std::size_t read(char* data, std::size_t size, error_code& ec) noexcept override {
    ec = asio::error::eof;
    if (!in_) {
      return 0;
    }
    ec = asio::error::would_block;
    return ready(in_.get(), false) ? detail::read_some(in_.get(), data, size, ec) : 0;
  }

  std::size_t write(bool to_err, std::string_view bytes, error_code& ec) noexcept override {
    const unique_handle& to = to_err ? err_ : out_;
    ec = {};
    if (!to || bytes.empty()) {
      return bytes.size();
    }
    ec = asio::error::would_block;
    return ready(to.get(), true)
               ? detail::write_some(to.get(), bytes.data(), std::min(bytes.size(), piece), ec)
               : 0;
  }

  void close() noexcept override {
    in_.reset();
    out_.reset();
    err_.reset();
  }

private:
  // Whether the descriptor is; else something has woken this.
  bool ready(native_handle_type descriptor, bool for_write,
             steady_clock::time_point until = steady_clock::time_point::max()) noexcept {
    std::array<wait_entry, 2> entries{wait_entry{woken_.get()}, wait_entry{descriptor, for_write}};
    try {
      wait_ready(entries, until);
    } catch (const system_error&) {
      return false; // the system is out of memory: what is looked at next decides
    }
    if (entries[0].ready) {
      char wakes[64];
      while (::read(woken_.get(), wakes, sizeof wakes) > 0) {
      }
    }
    return entries[1].ready;
  }

  unique_handle wake_;
  unique_handle woken_;
  unique_handle in_;
  unique_handle out_;
  unique_handle err_;
};

} // namespace

std::unique_ptr<fake_streams> open_fake_streams(const command& cmd, launched_child& callers) {
  return std::make_unique<pipe_streams>(cmd, callers);
}

fake_exit make_fake_exit() {
  two_ends life = open_ends();
  return {std::move(life.read_end), std::move(life.write_end)};
}

void tell_exit(unique_handle teller) noexcept { teller.reset(); }

// Not what does nothing to a program by default, nor what would halt it: there is nothing to halt.
bool ends_a_program(int signal) noexcept {
  constexpr int others[] = {SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
  return std::ranges::find(others, signal) == std::end(others);
}

exit_status ended_by(int signal) noexcept { return exit_status::from_signal(signal); }

exit_status ended_by_broken_pipe() noexcept { return ended_by(SIGPIPE); }

} // namespace subproc::detail
