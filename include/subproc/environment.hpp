#pragma once

#include <subproc/detail/export.hpp>

#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace SUBPROC_NAMESPACE {

/// The environment of a child, as a value: what it starts from, and edits on top.
///
/// A default-constructed one is truly empty. A command that was given no environment inherits the
/// caller's. Names and values are bytes and pass unchanged. A name that is empty or contains `=`,
/// and a NUL byte anywhere, are refused when the child is started. On Windows they are UTF-8, names
/// that differ only in case mean one variable, of which the last edit counts, and one `=` may begin
/// a name (`=C:`). Thread safety: a value; an inheriting one reads the caller's environment when
/// the child is started.
class SUBPROC_API environment {
public:
  /// Nothing at all.
  environment() = default;

  /// Exactly these variables.
  environment(std::initializer_list<std::pair<std::string, std::string>> variables);

  /// The caller's environment as it is when the child is started.
  static environment inherit();

  /// Of the caller's environment (as it is now) only a short list that programs need to work:
  /// PATH HOME USER LOGNAME SHELL LANG LC_* TZ TMPDIR TERM, and on Windows PATH PATHEXT ComSpec
  /// SystemRoot SystemDrive windir TEMP TMP USERNAME USERPROFILE HOMEDRIVE HOMEPATH APPDATA
  /// LOCALAPPDATA ProgramData. Everything else, secrets among it, stays out.
  static environment clean();

  /// The same with a list of one's own.
  static environment clean(std::span<const std::string_view> keep);

  environment& set(std::string name, std::string value) &;
  environment set(std::string name, std::string value) &&;
  environment& unset(std::string name) &;
  environment unset(std::string name) &&;

  /// Whether the caller's variables are the start.
  bool inherits() const noexcept { return inherits_; }

  /// The value that a child would get; looks into the caller's environment when inheriting.
  std::optional<std::string> get(std::string_view name) const;

  /// The `NAME=value` strings that a child would get, in order.
  std::vector<std::string> resolve() const;

  /// The edits, in the order of the first edit of each name; no value means unset.
  const std::vector<std::pair<std::string, std::optional<std::string>>>& edits() const noexcept {
    return edits_;
  }

  friend bool operator==(const environment&, const environment&) = default;

private:
  void edit(std::string name, std::optional<std::string> value);

  bool inherits_ = false;
  std::vector<std::pair<std::string, std::optional<std::string>>> edits_;
};

} // namespace subproc
