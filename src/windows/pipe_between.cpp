#include "../pipe_between.hpp"

#include "system.hpp"

#include <subproc/error.hpp>

namespace SUBPROC_NAMESPACE::detail {

// A start makes the duplicates that its child inherits.
pipe_between make_pipe_between(const std::optional<long long>& size) {
  HANDLE read_end = nullptr;
  HANDLE write_end = nullptr;
  constexpr long long usual = 64 * 1024;
  if (!::CreatePipe(&read_end, &write_end, nullptr, static_cast<DWORD>(size.value_or(usual)))) {
    throw spawn_error(last_error(), spawn_step::pipe, {});
  }
  return {unique_handle(read_end), unique_handle(write_end)};
}

} // namespace subproc::detail
