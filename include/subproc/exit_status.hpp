#pragma once

#include <subproc/detail/export.hpp>

#include <iosfwd>
#include <optional>
#include <string>

namespace SUBPROC_NAMESPACE {

/// How a child ended: it exited with a code, died by a signal, or nobody can say.
///
/// "Unknown" is the honest answer when the status was taken by somebody else (the program's own
/// `waitpid(-1)`, or an ignored SIGCHLD); it is not a success. A default-constructed value is
/// unknown. Thread safety: a value.
class exit_status {
public:
  constexpr exit_status() noexcept = default;

  static constexpr exit_status from_code(long long code) noexcept {
    return {kind::exited, code, false};
  }

  static constexpr exit_status from_signal(int number, bool core_dumped = false) noexcept {
    return {kind::signalled, number, core_dumped};
  }

  /// True for an exit with code 0, and for nothing else.
  constexpr bool success() const noexcept { return kind_ == kind::exited && value_ == 0; }
  constexpr bool exited() const noexcept { return kind_ == kind::exited; }
  constexpr bool signalled() const noexcept { return kind_ == kind::signalled; }
  constexpr bool unknown() const noexcept { return kind_ == kind::unknown; }
  constexpr bool core_dumped() const noexcept { return core_dumped_; }

  /// The code of an exit: 0 to 255 on POSIX, unsigned 32 bits on Windows.
  constexpr std::optional<long long> exit_code() const noexcept {
    return exited() ? std::optional<long long>(value_) : std::nullopt;
  }

  /// The number of the signal that killed the child.
  constexpr std::optional<int> signal() const noexcept {
    return signalled() ? std::optional<int>(static_cast<int>(value_)) : std::nullopt;
  }

  /// Python's form: the exit code, or minus the signal's number.
  constexpr std::optional<long long> returncode() const noexcept {
    if (unknown()) {
      return std::nullopt;
    }
    return signalled() ? -value_ : value_;
  }

  friend constexpr bool operator==(const exit_status&, const exit_status&) noexcept = default;

private:
  enum class kind : unsigned char { unknown, exited, signalled };

  constexpr exit_status(kind k, long long value, bool core_dumped) noexcept
      : kind_(k), core_dumped_(core_dumped), value_(value) {}

  kind kind_ = kind::unknown;
  bool core_dumped_ = false;
  long long value_ = 0;
};

/// "exited with 3", "died with SIGKILL (9)", "died with SIGSEGV (11), core dumped", "status
/// unknown"; on Windows also "exited with 0xC0000005 (access violation)".
SUBPROC_API std::string to_string(const exit_status& status);
SUBPROC_API std::ostream& operator<<(std::ostream& os, const exit_status& status);

/// "SIGKILL", "SIGRTMIN+1"; empty for a number that is no signal here.
SUBPROC_API std::string signal_name(int number);

} // namespace subproc
