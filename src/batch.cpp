#include "batch.hpp"

#include <algorithm>
#include <cstddef>

namespace SUBPROC_NAMESPACE::detail {
namespace {

char lower(char byte) noexcept {
  return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte - 'A' + 'a') : byte;
}

} // namespace

bool is_batch_file(std::string_view name) noexcept {
  name = name.substr(0, name.find_last_not_of(". ") + 1);
  const std::string_view end = name.substr(name.size() - std::min<std::size_t>(name.size(), 4));
  return std::ranges::equal(end, std::string_view(".bat"), {}, lower) ||
         std::ranges::equal(end, std::string_view(".cmd"), {}, lower);
}

std::string_view unsafe_for_batch(std::string_view argument) noexcept {
  const std::size_t found = argument.find_first_of("\"%!^&<>()|\r\n");
  if (found != std::string_view::npos) {
    return argument.substr(found, 1);
  }
  return argument.ends_with('\\') ? argument.substr(argument.size() - 1) : std::string_view();
}

} // namespace subproc::detail
