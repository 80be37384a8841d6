#pragma once

#include <subproc/environment.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Environment variables as the platform has them. Like getenv(3), none of this guards against a
// thread that changes the environment at the same time.

namespace SUBPROC_NAMESPACE::detail {

/// The caller's `NAME=value` strings, as they are now.
std::vector<std::string> caller_environment();

/// The value that getenv(3) would find.
std::optional<std::string> caller_variable(std::string_view name);

using environment_edit = std::pair<std::string, std::optional<std::string>>;

/// One variable of a child: an edit, or the caller's entry of that number.
struct chosen_variable {
  std::size_t inherited;
  const environment_edit* edit;
};

/// What a child gets, in order; `inherited` is the caller's `NAME=value` strings, or nothing.
std::vector<chosen_variable> choose_variables(const environment& env,
                                              std::span<const std::string_view> inherited);

/// `NAME=value`, of an edit that sets.
std::string to_entry(const environment_edit& edit);

/// Whether two names mean one variable, and a hash that is then the same.
bool same_variable(std::string_view left, std::string_view right);
std::size_t variable_hash(std::string_view name);

/// Whether a name has a `=` where none may be.
bool has_stray_equals(std::string_view name) noexcept;

/// What environment::clean() keeps.
std::span<const std::string_view> clean_variables() noexcept;

} // namespace subproc::detail
