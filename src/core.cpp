// The doors between the templates of the public headers and the compiled body.

#include <subproc/detail/core.hpp>
#include <subproc/process.hpp>

#include "check.hpp"
#include "process_core.hpp"
#include "text.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr auto usual_grace = std::chrono::seconds(10);

process_core& checked(const core_ptr& core, const char* what) {
  if (!core) {
    throw system_error(make_error_code(errc::no_child), what);
  }
  return *core;
}

steady_clock::time_point until(const process_core& core, const std::optional<duration>& limit) {
  return limit ? limit->after(core.now()) : steady_clock::time_point::max();
}

// A communicate's own time-out, else the command's; the command's deadline besides.
std::optional<duration> communicate_limit(const process_core& core,
                                          const std::optional<duration>& limit) {
  return limit ? limit : core.get_command().timeout();
}

steady_clock::time_point communicate_until(const process_core& core,
                                           const std::optional<duration>& limit) {
  return std::min(until(core, limit),
                  core.get_command().deadline().value_or(steady_clock::time_point::max()));
}

std::vector<stop_step> steps_of(const process_core& core, stop_way how) {
  if (auto* steps = std::get_if<std::vector<stop_step>>(&how)) {
    return std::move(*steps);
  }
  if (const auto* grace = std::get_if<duration>(&how)) {
    return {{stop_signal, std::max(*grace, duration())}, kill_step()};
  }
  const auto& own = core.get_command().stop_steps();
  return own ? *own : std::vector<stop_step>{{stop_signal, usual_grace}, kill_step()};
}

} // namespace

core_ptr start(const asio::any_io_executor& executor, command&& cmd) {
  auto core = std::make_shared<process_core>(executor, std::move(cmd));
  core->launch();
  return core;
}

void async_start(const asio::any_io_executor& executor, command&& cmd, asio::cancellation_slot slot,
                 spawn_handler handler) {
  std::make_shared<process_core>(executor, std::move(cmd))->async_launch(slot, std::move(handler));
}

void drop(core_ptr core) noexcept {
  if (core) {
    core->drop();
  }
}

void async_wait(const core_ptr& core, std::optional<duration> limit, asio::cancellation_slot slot,
                wait_handler handler) {
  if (core) {
    core->async_wait(limit, slot, std::move(handler));
  } else {
    handler.complete(make_error_code(errc::no_child), {});
  }
}

void async_communicate(const core_ptr& core, std::string input, std::optional<duration> limit,
                       asio::cancellation_slot slot, communicate_handler handler) {
  if (core) {
    core->async_communicate(std::move(input),
                            communicate_until(*core, communicate_limit(*core, limit)), slot,
                            std::move(handler));
  } else {
    handler.complete(make_error_code(errc::no_child), {});
  }
}

void async_stop(const core_ptr& core, stop_way how, asio::cancellation_slot slot,
                stop_handler handler) {
  if (!core) {
    handler.complete(make_error_code(errc::no_child), {});
    return;
  }
  std::vector<stop_step> steps = steps_of(*core, std::move(how));
  if (fault_of(steps).empty()) {
    core->async_stop(std::move(steps), slot, std::move(handler));
  } else {
    handler.complete(detail::generic_error(std::errc::invalid_argument), {});
  }
}

stop_result stop(const core_ptr& core, stop_way how, error_code& ec) {
  if (!core) {
    ec = make_error_code(errc::no_child);
    return {};
  }
  std::vector<stop_step> steps = steps_of(*core, std::move(how));
  if (!fault_of(steps).empty()) {
    ec = detail::generic_error(std::errc::invalid_argument);
    return {};
  }
  return core->stop(std::move(steps), ec);
}

stop_result stop(const core_ptr& core, stop_way how) {
  const auto* given = std::get_if<std::vector<stop_step>>(&how);
  std::string what = given ? fault_of(*given) : std::string();
  what = what.empty() ? "stop" : "stop: " + what;
  error_code ec;
  stop_result result = stop(core, std::move(how), ec);
  if (!ec) {
    return result;
  }
  for (const int survivor : result.survivors) {
    what +=
        (survivor == result.survivors.front() ? ": alive are " : ", ") + std::to_string(survivor);
  }
  throw system_error(ec, what);
}

exit_status wait(const core_ptr& core, std::optional<duration> limit) {
  process_core& body = checked(core, "wait");
  return body.wait(until(body, limit), limit);
}

communicate_result communicate(const core_ptr& core, std::string input,
                               std::optional<duration> limit) {
  process_core& body = checked(core, "communicate");
  const auto effective = communicate_limit(body, limit);
  return body.communicate(std::move(input), communicate_until(body, effective), effective);
}

std::optional<exit_status> poll(const core_ptr& core) noexcept {
  return core ? core->poll() : std::nullopt;
}

error_code send_signal(const core_ptr& core, int number) noexcept {
  return core ? core->send_signal(number) : make_error_code(errc::no_child);
}

void terminate(const core_ptr& core) {
  if (const error_code ec = send_signal(core, stop_signal)) {
    throw system_error(ec, "terminate");
  }
}

void kill(const core_ptr& core) {
  if (const error_code ec = send_signal(core, kill_signal)) {
    throw system_error(ec, "kill");
  }
}

completed_process known_result(const core_ptr& core) {
  return core ? core->result() : completed_process();
}

std::optional<exit_status> known_status(const core_ptr& core) noexcept {
  return core ? core->known_status() : std::nullopt;
}

const command& command_of(const core_ptr& core) {
  static const command none;
  return core ? core->get_command() : none;
}

// As long as Python's repr of a Popen.
std::string text_of(const core_ptr& core) {
  constexpr std::size_t longest = 80;
  if (!core) {
    return "<process: no child>";
  }
  std::string code = "none";
  if (const auto status = core->known_status()) {
    code = status->unknown() ? "unknown" : std::to_string(*status->returncode());
  }
  std::string text =
      "<process: returncode: " + code + " args: " + to_string(core->get_command()) + '>';
  if (text.size() > longest) {
    text.resize(cut_before(text, longest - 4));
    text += "...>";
  }
  return text;
}

pid_type pid(const core_ptr& core) noexcept { return core ? core->pid() : -1; }

native_handle_type exit_handle(const core_ptr& core) noexcept {
  return core ? core->exit_handle() : invalid_handle;
}

std::string_view captured(const core_ptr& core, stream_id stream) {
  return core ? core->captured(stream) : std::string_view();
}

unique_handle release(core_ptr core) { return checked(core, "release").release(); }

void detach(core_ptr core) {
  if (core) {
    core->detach();
  }
}

bool is_open(const core_ptr& core, stream_id stream) noexcept {
  return core && core->is_open(stream);
}

native_handle_type handle(const core_ptr& core, stream_id stream) noexcept {
  return core ? core->handle(stream) : invalid_handle;
}

unique_handle release_stream(const core_ptr& core, stream_id stream) noexcept {
  return core ? core->release_stream(stream) : unique_handle();
}

void close(const core_ptr& core, stream_id stream) noexcept {
  if (core) {
    core->close_stream(stream);
  }
}

void cancel(const core_ptr& core, stream_id stream) noexcept {
  if (core) {
    core->cancel_stream(stream);
  }
}

bool read_some_now(const core_ptr& core, stream_id stream, void* data, std::size_t size,
                   error_code& ec, std::size_t& n) {
  if (!core) {
    ec = asio::error::bad_descriptor;
    return true;
  }
  return core->io_now(stream, data, size, ec, n);
}

// The same operation serves both directions; what is written is only read.
bool write_some_now(const core_ptr& core, const void* data, std::size_t size, error_code& ec,
                    std::size_t& n) {
  return read_some_now(core, stream_id::in, const_cast<void*>(data), size, ec, n);
}

bool read_text_now(const core_ptr& core, stream_id stream, const text_request& wanted,
                   error_code& ec, line_piece& piece) {
  if (!core) {
    ec = asio::error::bad_descriptor;
    return true;
  }
  return core->text_now(stream, wanted, ec, piece);
}

void async_read_some(const core_ptr& core, stream_id stream, void* data, std::size_t size,
                     asio::cancellation_slot slot, io_handler handler) {
  if (core) {
    core->async_io(stream, data, size, slot, std::move(handler));
  } else {
    handler.complete(asio::error::bad_descriptor, 0);
  }
}

void async_write_some(const core_ptr& core, const void* data, std::size_t size,
                      asio::cancellation_slot slot, io_handler handler) {
  async_read_some(core, stream_id::in, const_cast<void*>(data), size, slot, std::move(handler));
}

std::size_t read_some(const core_ptr& core, stream_id stream, void* data, std::size_t size,
                      error_code& ec) {
  if (!core) {
    ec = asio::error::bad_descriptor;
    return 0;
  }
  return core->io(stream, data, size, ec);
}

void async_read_text(const core_ptr& core, stream_id stream, text_request wanted,
                     asio::cancellation_slot slot, text_handler handler) {
  if (core) {
    core->async_text(stream, std::move(wanted), slot, std::move(handler));
  } else {
    handler.complete(asio::error::bad_descriptor, {});
  }
}

line_piece read_text(const core_ptr& core, stream_id stream, const text_request& wanted,
                     error_code& ec) {
  if (!core) {
    ec = asio::error::bad_descriptor;
    return {};
  }
  return core->text(stream, wanted, ec);
}

std::string_view buffered(const core_ptr& core, stream_id stream) noexcept {
  return core ? core->buffered(stream) : std::string_view();
}

std::size_t write_some(const core_ptr& core, const void* data, std::size_t size, error_code& ec) {
  return read_some(core, stream_id::in, const_cast<void*>(data), size, ec);
}

} // namespace subproc::detail
