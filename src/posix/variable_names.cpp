#include "../environ.hpp"

#include <functional>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::string_view clean_list[] = {"PATH", "HOME", "USER", "LOGNAME", "SHELL",
                                           "LANG", "LC_*", "TZ",   "TMPDIR",  "TERM"};

} // namespace

bool same_variable(std::string_view left, std::string_view right) { return left == right; }

std::size_t variable_hash(std::string_view name) { return std::hash<std::string_view>()(name); }

bool has_stray_equals(std::string_view name) noexcept {
  return name.find('=') != std::string_view::npos;
}

std::span<const std::string_view> clean_variables() noexcept { return clean_list; }

} // namespace subproc::detail
