#pragma once

#include <subproc/detail/export.hpp>

#include <concepts>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>

namespace SUBPROC_NAMESPACE::detail {

template <class T>
concept path_of_bytes = requires(const T& path) {
  { path.native() } -> std::convertible_to<std::string_view>;
};

template <class T>
concept path_of_wide_text = requires(const T& path) { // Windows: UTF-16
  { path.native() } -> std::convertible_to<std::wstring_view>;
};

template <class T>
concept path_like = path_of_bytes<T> || path_of_wide_text<T>;

template <class T>
concept argument = std::convertible_to<const T&, std::string_view> || path_like<T>;

template <class T>
concept argument_range = !argument<T> && std::ranges::input_range<const T> &&
                         argument<std::remove_cvref_t<std::ranges::range_reference_t<const T>>>;

/// UTF-8; half a character becomes bytes that are none, which the start refuses by name.
SUBPROC_API std::string utf8_of(std::wstring_view text);

template <argument T>
std::string to_argument(const T& value) {
  if constexpr (path_of_bytes<T>) {
    return std::string(std::string_view(value.native()));
  } else if constexpr (path_of_wide_text<T>) {
    return utf8_of(value.native());
  } else {
    return std::string(std::string_view(value));
  }
}

} // namespace subproc::detail
