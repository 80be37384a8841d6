#include <subproc/limits.hpp>

#include <algorithm>
#include <array>
#include <cstddef>

namespace SUBPROC_NAMESPACE {
namespace {

// In the order of the enumerators.
constexpr std::array names{"as",      "core",     "cpu",        "data",   "fsize", "locks",
                           "memlock", "msgqueue", "nice",       "nofile", "nproc", "rss",
                           "rtprio",  "rttime",   "sigpending", "stack"};
static_assert(names.size() == static_cast<std::size_t>(resource::stack) + 1);

// tolower(3) would ask the locale.
char lower(char byte) noexcept {
  return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte - 'A' + 'a') : byte;
}

bool same(std::string_view left, std::string_view right) noexcept {
  return std::ranges::equal(left, right, {}, lower, lower);
}

} // namespace

const char* to_string(resource which) noexcept {
  const auto index = static_cast<std::size_t>(which);
  return index < names.size() ? names[index] : "unknown resource";
}

std::optional<resource> find_resource(std::string_view name) noexcept {
  constexpr std::string_view prefix = "rlimit_";
  if (same(name.substr(0, prefix.size()), prefix)) {
    name.remove_prefix(prefix.size());
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (same(name, names[i])) {
      return static_cast<resource>(i);
    }
  }
  return std::nullopt;
}

} // namespace subproc
