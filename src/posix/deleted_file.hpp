#pragma once

#include <subproc/launcher.hpp>

#include <string>
#include <string_view>

namespace SUBPROC_NAMESPACE::detail {

/// False with errno.
bool write_all(int descriptor, std::string_view bytes) noexcept;

/// A file in the folder that has no name any more, holds the bytes and can only be read. Empty,
/// with errno, where it cannot be made.
unique_handle deleted_file(std::string folder, std::string_view bytes);

/// The same in TMPDIR, else in /tmp.
unique_handle deleted_temporary_file(std::string_view bytes);

} // namespace subproc::detail
