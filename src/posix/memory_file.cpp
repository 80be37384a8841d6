#include <subproc/memory_file.hpp>

#include "deleted_file.hpp"

#include <cerrno>
#include <system_error>

namespace SUBPROC_NAMESPACE {

// /dev/shm is in memory, where a system has one.
unique_handle memory_file(std::string_view bytes) {
  unique_handle file = detail::deleted_file("/dev/shm", bytes);
  if (!file) {
    file = detail::deleted_temporary_file(bytes);
  }
  if (!file) {
    throw system_error(errno, detail::system_category(), "memory_file");
  }
  return file;
}

} // namespace subproc
