#pragma once

#include <subproc/detail/export.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

// Words to one text and back. All of it works on bytes, on every platform, and looks at no locale.
// Thread safety: safe.

namespace SUBPROC_NAMESPACE {

/// One word for a POSIX shell, as Python's shlex.quote: unchanged if all bytes are of
/// `A-Za-z0-9_@%+=:,./-`, else in single quotes. Throws system_error (invalid_argument) for a
/// NUL byte, which no shell can take and Python lets through. Where a shell expects a command,
/// `a=b` and words such as `if` have a meaning of their own, quoted like this or not at all.
SUBPROC_API std::string quote(std::string_view word);

/// The quoted words with a space between, as Python's shlex.join.
SUBPROC_API std::string join(std::span<const std::string> words);

/// Whether `#` begins a comment, which ends with the line.
enum class split_comments {
  no,
  yes, ///< even within a word, though not within quotes: `c#d` is `c`
};

/// The words of a text, as Python's shlex.split (POSIX mode); `split(join(words)) == words`.
///
/// Words are separated by space, tab, CR and LF. Between single quotes all is literal; between
/// double quotes a backslash escapes `"` and `\` only; elsewhere it makes the next byte literal.
/// Nothing else has a meaning. A shell differs: there a backslash also escapes `$`, backquote and
/// newline between double quotes, and with a newline after it vanishes. Throws system_error
/// (invalid_argument), "No closing quotation" or "No escaped character".
SUBPROC_API std::vector<std::string> split(std::string_view text,
                                           split_comments comments = split_comments::no);

/// The arguments as one Windows command line, as Python's subprocess.list2cmdline: what programs
/// with Microsoft's run-time, and CommandLineToArgvW, take apart into the same arguments. A program
/// name in first place must not hold `"`. Not safe for a batch file: cmd.exe has rules of its own.
/// Throws system_error (invalid_argument) for a NUL byte, which Python lets through.
SUBPROC_API std::string list2cmdline(std::span<const std::string> args);

} // namespace subproc
