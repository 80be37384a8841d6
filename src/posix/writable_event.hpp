#pragma once

#include <subproc/launcher.hpp>

#include <memory>

namespace SUBPROC_NAMESPACE::detail {

/// A handle that can be read while another can be written.
class writable_event {
public:
  virtual ~writable_event() = default;
  virtual native_handle_type handle() const noexcept = 0;

  /// A write has found no room: until there is some the handle must not be readable.
  virtual void full() noexcept = 0;
};

/// Null for what can always be written; throws spawn_error when there is no descriptor left.
std::unique_ptr<writable_event> make_writable_event(native_handle_type handle);

} // namespace subproc::detail
