#pragma once

#include <subproc/detail/native_handle.hpp>

#include <cstddef>
#include <string>

namespace subproc::test {

/// How many handles this process has open.
unsigned long handle_count();

/// An anonymous pipe of the caller's own, as any program makes it: no end is inheritable, both
/// block. Closed by whoever takes them into a unique_handle.
struct plain_pipe {
  native_handle_type reader;
  native_handle_type writer;
};
plain_pipe make_plain_pipe();

/// Reads a handle that blocks, to its end.
std::string read_all(native_handle_type handle);

/// What one read gives, of a handle of any kind.
std::string read_once(native_handle_type handle, std::size_t most = 4096);
bool write_all(native_handle_type handle, const std::string& text);

/// How many bytes a pipe takes, and has.
std::size_t pipe_capacity(native_handle_type pipe);
std::size_t bytes_waiting(native_handle_type pipe);

/// Whether a read of a pipe would have something to tell.
bool has_bytes_or_ended(native_handle_type pipe);

/// As a program can be told of it.
long long number_of(native_handle_type handle);

void make_inheritable(native_handle_type handle);
bool is_inheritable(native_handle_type handle);

/// Whether there is such a handle.
bool is_open(native_handle_type handle);

/// Whether a process of that id runs.
bool is_running(int id);
/// Ends it, whosoever child it is.
void end_process(int id);

/// Whether a child of this process runs.
bool has_children();

/// The path of this program.
std::string own_program();

/// What tells of the end of a child that is no process.
native_handle_type make_event();
void set_event(native_handle_type event);

/// One of this process's own streams, 0 to 2; the handle that it was.
native_handle_type exchange_stream(int stream, native_handle_type to);

/// A path in the folder for temporary files that nothing has.
std::string fresh_path();

/// For a case whose effect Wine does not show: prints the reason, by which ctest counts it as
/// skipped. What real Windows documents is in the reason.
void excuse(const char* reason);
bool under_wine();

} // namespace subproc::test
