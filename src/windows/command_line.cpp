#include "command_line.hpp"

#include "../batch.hpp"
#include "../check.hpp"
#include "../text.hpp"
#include "text.hpp"

#include <subproc/error.hpp>
#include <subproc/quote.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>

#include <windows.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::size_t longest_line = 32766; // of CreateProcess, which also counts the null
constexpr std::size_t longest_shell_line = 8191;

std::wstring bounded(std::wstring line, std::size_t most, const char* whose) {
  if (line.size() > most) {
    refuse("args", "the command line has " + std::to_string(line.size()) + " characters, " + whose +
                       " takes " + std::to_string(most));
  }
  return line;
}

std::span<const std::string> after_program(const command& cmd) {
  return std::span(cmd.args()).subspan(1);
}

const windows& options(const command& cmd) {
  static const windows none;
  const windows* given = cmd.get<windows>();
  return given != nullptr ? *given : none;
}

std::wstring raw_line(const command& cmd) {
  return wide_option("windows.raw_command_line", "the line", *options(cmd).raw_command_line);
}

// The first word ends at the next quote, or at the first blank: no backslash has a meaning in it.
std::string first_word(const std::string& program) {
  if (program.find('"') != std::string::npos) {
    refuse("args", "argument 0 " + shown(program) +
                       " holds a '\"', which the name of a program cannot have on a command line");
  }
  const bool plain = !program.empty() && std::ranges::all_of(program, [](char byte) {
    return static_cast<unsigned char>(byte) > ' ';
  });
  return plain ? program : '"' + program + '"';
}

std::wstring arguments_text(const command& cmd) {
  std::wstring text;
  std::size_t number = 1;
  for (const std::string& arg : after_program(cmd)) {
    const std::string what = "argument " + std::to_string(number++) + ' ' + shown(arg);
    text += L' ' + wide_option("args", what, list2cmdline(std::span(&arg, 1)));
  }
  return text;
}

// Between quotes the arguments' separators of cmd.exe mean themselves.
constexpr const char* batch_separators = " \t\v\f,;=";

std::wstring safe_arguments_text(const command& cmd) {
  std::wstring text;
  std::size_t number = 1;
  for (const std::string& arg : after_program(cmd)) {
    const std::string what = "argument " + std::to_string(number++) + ' ' + shown(arg);
    if (const std::string_view fault = unsafe_for_batch(arg); !fault.empty()) {
      refuse("args", what + " holds " + shown(fault) +
                         ", which is not safe in an argument of a batch file: cmd.exe may take it "
                         "for a command; see windows::trust_batch_arguments");
    }
    const std::wstring wide = wide_option("args", what, arg);
    const bool plain = !arg.empty() && arg.find_first_of(batch_separators) == std::string::npos;
    text += plain ? L' ' + wide : L" \"" + wide + L'"';
  }
  return text;
}

} // namespace

std::wstring wide_option(const char* option, const std::string& what, const std::string& text) {
  try {
    return to_wide(text);
  } catch (const system_error&) {
    refuse(option, what + " is no valid UTF-8");
  }
}

std::wstring program_line(const command& cmd) {
  constexpr const char* whose = "Windows";
  if (options(cmd).raw_command_line) {
    return bounded(raw_line(cmd), longest_line, whose);
  }
  const std::string& program = cmd.args().front();
  return bounded(wide_option("args", "argument 0 " + shown(program), first_word(program)) +
                     arguments_text(cmd),
                 longest_line, whose);
}

// The line that cmd.exe gets is ours in full: given the file, Windows would let it look for the
// name in argument 0 once more, in the working directory first. No AutoRun, and `!` is no variable.
std::wstring batch_line(const command& cmd, const std::wstring& interpreter,
                        const std::wstring& path) {
  const bool trusted = options(cmd).trust_batch_arguments;
  if (path.size() >= MAX_PATH || path.starts_with(L"\\\\?\\") || path.starts_with(L"\\\\.\\")) {
    refuse("args", "the path of the batch file " + shown(utf8_of(path)) +
                       " is one that cmd.exe does not take: it has 260 characters or more, or "
                       "begins with '\\\\?\\' or '\\\\.\\'");
  }
  std::wstring line;
  if (options(cmd).raw_command_line) {
    if (!trusted) {
      refuse("windows.raw_command_line", "a batch file is given no raw line unless "
                                         "trust_batch_arguments is set");
    }
    line = raw_line(cmd);
  } else {
    if (!trusted && path.find_first_of(L"%!^&") != std::wstring::npos) {
      refuse("args", "the path of the batch file " + shown(utf8_of(path)) +
                         " is not safe: cmd.exe may take a part of it for a command; see "
                         "windows::trust_batch_arguments");
    }
    line = L'"' + path + L'"' + (trusted ? arguments_text(cmd) : safe_arguments_text(cmd));
  }
  return bounded(L'"' + interpreter + L"\" /d /e:on /v:off /s /c \"" + line + L'"',
                 longest_shell_line, "a batch file");
}

std::wstring shell_line(const command& cmd, const std::wstring& interpreter) {
  if (options(cmd).raw_command_line) {
    return program_line(cmd);
  }
  if (cmd.args().size() != 3) {
    refuse("args", "cmd.exe gives a script no further arguments, they must be part of it");
  }
  return bounded(L'"' + interpreter + L"\" /c \"" +
                     wide_option("args", "the script " + shown(cmd.args()[2]), cmd.args()[2]) +
                     L'"',
                 longest_shell_line, "cmd.exe");
}

} // namespace subproc::detail
