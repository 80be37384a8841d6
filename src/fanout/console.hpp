#pragma once

#include <subproc/launcher.hpp>
#include <subproc/redirect.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What fanout asks of the system it runs on: arguments, its three streams (0, 1, 2), its terminal,
// the signals that stop it. Errors are values of errno.
namespace fanout {

/// Before anything else: a stream that is closed stays so, whatever is opened later, and a reader
/// that has gone is an error of the write.
void prepare_streams();

/// UTF-8 where the system does not give bytes.
std::vector<std::string> arguments(int argc, char** argv);

/// As many of the jobs as there are descriptors for: each needs so many, the program itself others.
std::size_t affordable(std::size_t jobs, std::size_t files_a_job, std::size_t own_files);

/// Bytes that a command of this program's environment may have in its arguments, as
/// argument_size() counts them; with a limit of its stack fewer.
std::size_t room_for_arguments(std::uint64_t stack_limit);
/// What an argument takes of it.
std::size_t argument_size(std::size_t length);
/// Bytes of a single argument.
std::size_t longest_argument();

/// An item within a script of --shell, as one word of it; none when no quotes keep it from being
/// taken for more than that.
std::optional<std::string> quoted_for_shell(std::string_view item);

/// Of a path its last part, and the folder before it: "." when there is none, a root with its end.
std::string_view name_in(std::string_view path);
std::string_view folder_of(std::string_view path);

bool is_terminal(int stream);
/// In columns; 80 where it is not known.
std::size_t terminal_width(int stream);

/// Those that ask a program to end, but for the ones that were ignored at its start: nohup, a
/// script's job in the background.
std::vector<int> stop_signals();
/// Those that ask for one job more at once, or one less; 0 where there are none.
extern const int more_jobs_signal;
extern const int fewer_jobs_signal;
/// Whether one closed terminal sends it twice: the kernel, and the shell.
bool comes_twice(int signal);

/// Blocks. How many bytes, none at the end; or an error.
struct read_result {
  std::size_t size = 0;
  int error = 0;
};
read_result read_some(int stream, char* buffer, std::size_t size);

/// Blocks. 0, or an error.
int write_all(int stream, std::string_view text);

/// A thread that no signal is delivered to, and that may sit in a read or a write when the program
/// ends.
void start_thread(std::function<void()> work);

/// A file that no job inherits, for read_some and write_all; -1 with errno.
enum class file_use { read, create, create_new, append };
int open_file(const std::string& path, file_use use);
/// The next write goes to its beginning. 0, or an error.
int rewind_file(int descriptor);
void close_file(int descriptor);

/// A pipe that no job inherits; its reader may be the loop's. Throws std::system_error.
struct pipe_ends {
  subproc::unique_handle reader;
  subproc::unique_handle writer;
};
pipe_ends make_pipe();

/// A stdin without a byte, opened once for all jobs where that saves a call.
subproc::input_redirect empty_input();

/// Jobs end with fanout, however it ends.
extern const bool jobs_die_with_fanout;

/// The program, and what it starts, gives way to others: 0 not at all, 19 most. 0, or an error.
int be_nice(int niceness);

/// Ends the program, whatever its threads do.
[[noreturn]] void leave(int code);

} // namespace fanout
