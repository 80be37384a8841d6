#include "../environ.hpp"

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::string_view clean_list[] = {"PATH", "HOME", "USER", "LOGNAME", "SHELL",
                                           "LANG", "LC_*", "TZ",   "TMPDIR",  "TERM"};

} // namespace

bool same_variable(std::string_view left, std::string_view right) { return left == right; }

// For tables of some dozens of names: its time counts, for every variable of every start.
std::size_t variable_hash(std::string_view name) {
  const auto byte = [name](std::size_t at) { return static_cast<unsigned char>(name[at]); };
  return name.empty() ? 0
                      : name.size() + 31U * byte(0) + 59U * byte(name.size() / 2) +
                            127U * byte(name.size() - 1);
}

bool has_stray_equals(std::string_view name) noexcept {
  return name.find('=') != std::string_view::npos;
}

std::span<const std::string_view> clean_variables() noexcept { return clean_list; }

} // namespace subproc::detail
