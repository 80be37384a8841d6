#pragma once

#include <subproc/detail/argument.hpp>
#include <subproc/detail/native_handle.hpp>

#include <compare>
#include <concepts>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace SUBPROC_NAMESPACE {

/// The child uses the caller's own stream (the default).
struct inherit_t {
  friend bool operator==(inherit_t, inherit_t) = default;
};
/// The null device: end-of-file when read, swallows what is written.
struct null_t {
  friend bool operator==(null_t, null_t) = default;
};
/// A new pipe, whose other end is the process object's `in()`, `out()` or `err()`.
struct piped_t {
  friend bool operator==(piped_t, piped_t) = default;
};
/// stderr goes where stdout goes, whatever that is.
struct merge_t {
  friend bool operator==(merge_t, merge_t) = default;
};

inline constexpr inherit_t inherit{};
inline constexpr null_t null{};
inline constexpr piped_t piped{};
inline constexpr merge_t merge{};

/// An open descriptor of the caller, borrowed: it is never closed and its flags never change.
/// It must stay open until the child has been started.
struct fd {
  explicit fd(native_handle_type handle) : value(handle) {}

  /// Anything with a `native_handle()`, such as an Asio descriptor or socket.
  template <class T>
    requires requires(T& object) {
      { object.native_handle() } -> std::convertible_to<native_handle_type>;
    }
  explicit fd(T& object) : value(object.native_handle()) {}

  native_handle_type value;

  friend bool operator==(const fd&, const fd&) = default;
};

/// How a file is opened for a child.
enum class open_mode {
  automatic, ///< read for stdin, truncate for stdout and stderr
  read,
  truncate,   ///< write, made when missing, emptied when not
  append,     ///< write at the end, made when missing
  create_new, ///< write; it is an error if the file exists
  read_write, ///< made when missing, kept when not
};

/// A file that is opened in the caller, before the child starts, relative to the caller's working
/// directory and with permissions 0666 less the caller's umask. Its path is a text, on Windows in
/// UTF-8, or a std::filesystem::path.
struct file {
  explicit file(std::string file_path, open_mode open = open_mode::automatic)
      : path(std::move(file_path)), mode(open) {}
  template <detail::argument Path>
  explicit file(const Path& file_path, open_mode open = open_mode::automatic)
      : path(detail::to_argument(file_path)), mode(open) {}

  std::string path;
  open_mode mode;

  friend bool operator==(const file&, const file&) = default;
};

/// A pipe that is captured and whose bytes are passed on as well, by communicate and the run
/// family: `tee()` to the caller's own stream of that name, `tee(fd(n))`, `tee(file(path, mode))`.
///
/// All bytes are passed on, also those that a limit drops. A sink that is full holds back this
/// stream alone, never the loop; one that fails or that nobody reads ends the passing on, not the
/// capture, and the result has the error. The sink is the caller's open file, whose flags never
/// change: a pipe or a terminal is opened anew for us; where that is refused, writes are small and
/// follow a look whether there is room. A file on a disk is written as it is, and a named pipe has
/// to have a reader. `fd` must stay open until the child has been started, no longer.
/// (Written with its namespace: Linux has a system call of this name.)
struct tee {
  tee() = default;
  explicit tee(fd descriptor) : sink(descriptor) {}
  explicit tee(file path) : sink(std::move(path)) {}

  std::variant<inherit_t, fd, file> sink;

  friend bool operator==(const tee&, const tee&) = default;
};

/// Bytes for stdin as a file: a fresh one for each start, read from its beginning, as often and in
/// any order as the child likes. Unlike `input()` nobody has to feed a pipe.
struct memory {
  explicit memory(std::string contents) : bytes(std::move(contents)) {}

  std::string bytes;

  friend bool operator==(const memory&, const memory&) = default;
};

/// What the child's stdin is.
using input_redirect = std::variant<inherit_t, null_t, piped_t, fd, file, memory>;
/// What the child's stdout is.
using output_redirect = std::variant<inherit_t, null_t, piped_t, fd, file, tee>;
/// What the child's stderr is.
using error_redirect = std::variant<inherit_t, null_t, piped_t, fd, file, tee, merge_t>;

} // namespace subproc
