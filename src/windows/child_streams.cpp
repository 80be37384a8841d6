#include "child_streams.hpp"

#include "../redirects.hpp"
#include "files.hpp"

#include <subproc/memory_file.hpp>

#include <type_traits>
#include <variant>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr const char* option_names[] = {"in", "out", "err"};
constexpr unsigned long usual_pipe = 64 * 1024;

owned_handle null_device() {
  SECURITY_ATTRIBUTES inheritable{sizeof(SECURITY_ATTRIBUTES), nullptr, TRUE};
  owned_handle opened =
      own(::CreateFileW(L"NUL", GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                        &inheritable, OPEN_EXISTING, 0, nullptr));
  if (!opened) {
    throw spawn_error(last_error(), spawn_step::open, "NUL");
  }
  return opened;
}

// Nothing of the bytes may be in an error.
owned_handle bytes_of(const memory& what) {
  try {
    const unique_handle bytes = memory_file(what.bytes);
    return duplicate_of(bytes.get(), "in", true);
  } catch (const system_error& error) {
    throw spawn_error(error.code(), spawn_step::memory, "in");
  }
}

// A handle of the caller's that is named, or its own stream.
template <class Redirect>
owned_handle borrowed(const Redirect& what, int number) {
  const char* const option = option_names[number];
  if (const auto* handle = std::get_if<fd>(&what)) {
    return duplicate_of(handle->value, option, true);
  }
  HANDLE const mine = std::holds_alternative<inherit_t>(what) ? own_stream(number) : nullptr;
  return mine != nullptr ? duplicate_of(mine, option, true) : nullptr;
}

} // namespace

child_streams::child_streams(const command& cmd) {
  const input_redirect in_what = effective_in(cmd);
  const output_redirect out_what = effective_out(cmd);
  const error_redirect err_what = effective_err(cmd);
  // What is opened below could get the number of a handle that is closed.
  streams_ = {borrowed(in_what, 0), borrowed(out_what, 1), borrowed(err_what, 2)};
  if (!streams_[0]) {
    streams_[0] = open(in_what, 0, cmd);
  }
  if (!streams_[1]) {
    streams_[1] = open(out_what, 1, cmd);
  }
  if (std::holds_alternative<merge_t>(err_what)) {
    streams_[2] = duplicate_of(of(1), "err", true);
  } else if (!streams_[2]) {
    streams_[2] = open(err_what, 2, cmd);
  }
}

template <class Redirect>
owned_handle child_streams::open(const Redirect& what, int number, const command& cmd) {
  if (std::holds_alternative<piped_t>(what)) {
    return pipe(number, cmd);
  }
  if (const auto* path = std::get_if<file>(&what)) {
    return open_file(*path, number == 0, true);
  }
  if constexpr (std::is_same_v<Redirect, input_redirect>) {
    if (const auto* bytes = std::get_if<memory>(&what)) {
      return bytes_of(*bytes);
    }
  }
  return std::holds_alternative<null_t>(what) ? null_device() : nullptr;
}

owned_handle child_streams::pipe(int number, const command& cmd) {
  const auto way =
      number == 0 ? overlapped_pipe::direction::write : overlapped_pipe::direction::read;
  const auto size = static_cast<unsigned long>(cmd.pipe_size().value_or(usual_pipe));
  new_pipe made = make_pipe(way, size);
  (number == 0 ? in : number == 1 ? out : err) = std::move(made.ours);
  return std::move(made.childs);
}

} // namespace subproc::detail
