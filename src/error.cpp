#include <subproc/error.hpp>

#include <subproc/result.hpp>

#include "error_text.hpp"
#include "exit_code.hpp"
#include "text.hpp"

#include <charconv>
#include <ostream>
#include <utility>

namespace SUBPROC_NAMESPACE {
namespace {

class subproc_category final : public detail::error_library::error_category {
public:
  const char* name() const noexcept override { return "subproc"; }

  std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
    case errc::no_child:
      return "There is no child here: the object was moved from, released or never started; "
             "start a process and use that one";
    case errc::operation_pending:
      return "The same operation is already under way on this process: "
             "let it complete before starting another";
    case errc::already_taken:
      return "The captured output was moved out by an earlier communicate: "
             "keep that result instead of asking again";
    case errc::output_limit:
      return "The child wrote more than the limit of its capture: "
             "raise limit() or give it a policy that drops the rest";
    case errc::not_stopped:
      return "Members of the scope survived the stop: "
             "see the survivors in its result, and stop again or signal them";
    case errc::bad_report:
      return "What the child reported about its start cannot be read: "
             "take it as not started, and try again";
    case errc::inactive:
      return "The child gave no output for as long as its inactivity_timeout(): "
             "communicate again to go on, or stop it";
    }
    return "Unknown subproc error " + std::to_string(value);
  }

  detail::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<errc>(value)) {
    case errc::no_child:
      return same_as(std::errc::no_child_process);
    case errc::operation_pending:
      return same_as(std::errc::operation_in_progress);
    case errc::output_limit:
      return same_as(std::errc::no_buffer_space);
    case errc::not_stopped:
      return same_as(std::errc::device_or_resource_busy);
    case errc::bad_report:
      return same_as(std::errc::protocol_error);
    case errc::inactive:
      return same_as(std::errc::timed_out);
    case errc::already_taken:
      break; // nothing in std::errc says this
    }
    return {value, *this};
  }

private:
  static detail::error_condition same_as(std::errc e) noexcept {
    return {static_cast<int>(e), detail::generic_category()};
  }
};

// Asio's own category (1.22.1) equals no std::errc: an ENOENT in it is not
// no_such_file_or_directory.
error_code comparable(const error_code& ec) {
  return ec.category() == asio::error::get_system_category()
             ? error_code(ec.value(), detail::system_category())
             : ec;
}

std::string spawn_text(spawn_step step, const std::string& path, const std::string& detail) {
  std::string text = "cannot start ";
  if (step == spawn_step::exec) {
    text += detail::shown(path) + ": exec";
  } else if (step == spawn_step::arguments || step == spawn_step::limits) {
    text += "a child: " + path;
  } else {
    text += std::string("a child: ") + to_string(step);
    if (!path.empty()) {
      text += ' ' + detail::shown(path);
    }
  }
  return detail.empty() ? text : text + ": " + detail;
}

std::string command_text(const completed_process& result) {
  return "Command '" + to_string(result.cmd) + "' ";
}

// Never in exponent form, never by the locale: 0.0001 stays 0.0001.
std::string number_text(double value) {
  char buffer[400];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
  return std::string(buffer, end.ptr);
}

// Asio's messages have a full stop already, those of the system have none.
std::string sentence(std::string text) { return text.ends_with('.') ? text : text + '.'; }

} // namespace

namespace detail {

std::string end_text(const exit_status& status) {
  if (const auto code = status.exit_code()) {
    return *code == 0 ? "returned exit status 0, which its ok_codes() do not accept."
                      : "returned non-zero exit status " + shown_code(*code) + ".";
  }
  return status.unknown() ? "ended, but its exit status was taken by somebody else and is unknown."
                          : to_string(status) + ".";
}

std::string timeout_text(bool inactive, double seconds) {
  return (inactive ? "gave no output for " : "timed out after ") + number_text(seconds) +
         " seconds.";
}

std::string failure_text(const error_code& ec) { return "failed: " + sentence(ec.message()); }

} // namespace detail

const detail::error_library::error_category& error_category() noexcept {
  static const subproc_category category;
  return category;
}

error_code make_error_code(errc e) noexcept {
  return error_code(static_cast<int>(e), error_category());
}

const char* to_string(spawn_step step) noexcept {
  switch (step) {
  case spawn_step::arguments:
    return "arguments";
  case spawn_step::pipe:
    return "pipe";
  case spawn_step::open:
    return "open";
  case spawn_step::memory:
    return "memory";
  case spawn_step::fork:
    return "fork";
  case spawn_step::pass_fds:
    return "pass_fds";
  case spawn_step::dup2:
    return "dup2";
  case spawn_step::chdir:
    return "chdir";
  case spawn_step::umask:
    return "umask";
  case spawn_step::signals:
    return "signals";
  case spawn_step::setsid:
    return "setsid";
  case spawn_step::setpgid:
    return "setpgid";
  case spawn_step::close_fds:
    return "close_fds";
  case spawn_step::limits:
    return "limits";
  case spawn_step::setgroups:
    return "setgroups";
  case spawn_step::setgid:
    return "setgid";
  case spawn_step::setuid:
    return "setuid";
  case spawn_step::pre_exec:
    return "pre_exec";
  case spawn_step::die_with_parent:
    return "die_with_parent";
  case spawn_step::exec:
    return "exec";
  }
  return "unknown step";
}

std::ostream& operator<<(std::ostream& os, spawn_step step) { return os << to_string(step); }

spawn_error::spawn_error(error_code ec, spawn_step step, std::string path,
                         const std::string& reason)
    : system_error(comparable(ec), spawn_text(step, path, reason)), step_(step),
      texts_(std::make_shared<const texts>(texts{std::move(path), reason})) {}

subprocess_error::subprocess_error(const std::string& what, completed_process result)
    : std::runtime_error(what),
      result_(std::make_shared<const completed_process>(std::move(result))) {}

// In each of these the text is made before the result is moved from: braces evaluate in order.
called_process_error::called_process_error(completed_process result)
    : subprocess_error{command_text(result) + detail::end_text(result.status), std::move(result)} {}

called_process_error::called_process_error(const std::string& what, completed_process result)
    : subprocess_error(what, std::move(result)) {}

timeout_expired::timeout_expired(completed_process result, double seconds)
    : subprocess_error{command_text(result) + detail::timeout_text(result.inactive, seconds),
                       std::move(result)},
      seconds_(seconds) {}

timeout_expired::timeout_expired(const std::string& what, completed_process result, double seconds)
    : subprocess_error(what, std::move(result)), seconds_(seconds) {}

operation_error::operation_error(error_code ec, completed_process result)
    : subprocess_error{command_text(result) + detail::failure_text(ec), std::move(result)},
      code_(ec) {}

operation_error::operation_error(const std::string& what, error_code ec, completed_process result)
    : subprocess_error(what, std::move(result)), code_(ec) {}

} // namespace subproc
