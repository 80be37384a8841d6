#pragma once

#include "overlapped_pipe.hpp"

#include <array>

namespace SUBPROC_NAMESPACE::detail {

/// The three streams of a child, inheritable, and our ends of its pipes. A stream that the caller
/// itself does not have is null. Throws spawn_error.
class child_streams {
public:
  explicit child_streams(const command& cmd);

  HANDLE of(int number) const noexcept { return streams_[static_cast<std::size_t>(number)].get(); }

  unique_handle in;
  unique_handle out;
  unique_handle err;

private:
  template <class Redirect>
  owned_handle open(const Redirect& what, int number, const command& cmd);
  owned_handle pipe(int number, const command& cmd);

  std::array<owned_handle, 3> streams_;
};

} // namespace subproc::detail
