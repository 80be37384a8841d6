#pragma once

#include <subproc/detail/export.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Environment variables as the platform has them. Like getenv(3), none of this guards against a
// thread that changes the environment at the same time.

namespace SUBPROC_NAMESPACE::detail {

/// The caller's `NAME=value` strings, as they are now.
std::vector<std::string> caller_environment();

/// The value that getenv(3) would find.
std::optional<std::string> caller_variable(std::string_view name);

/// Whether two names mean one variable, and a hash that is then the same.
bool same_variable(std::string_view left, std::string_view right);
std::size_t variable_hash(std::string_view name);

/// Whether a name has a `=` where none may be.
bool has_stray_equals(std::string_view name) noexcept;

/// What environment::clean() keeps.
std::span<const std::string_view> clean_variables() noexcept;

} // namespace subproc::detail
