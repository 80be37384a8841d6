#pragma once

// How doctest shows the library's values, and what unit tests share. No process, no loop.

#include <subproc/error.hpp>
#include <subproc/exit_status.hpp>
#include <subproc/redirect.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace doctest {

template <>
struct StringMaker<subproc::exit_status> {
  static String convert(const subproc::exit_status& status) { return to_string(status).c_str(); }
};

template <>
struct StringMaker<subproc::spawn_step> {
  static String convert(subproc::spawn_step step) { return to_string(step); }
};

template <>
struct StringMaker<subproc::error_code> {
  static String convert(const subproc::error_code& ec) {
    const std::string text =
        ec.category().name() + (':' + std::to_string(ec.value())) + " (" + ec.message() + ')';
    return text.c_str();
  }
};

template <class T>
struct StringMaker<std::optional<T>> {
  static String convert(const std::optional<T>& value) {
    return value ? toString(*value) : String("nothing");
  }
};

template <class T>
struct StringMaker<std::vector<T>> {
  static String convert(const std::vector<T>& values) {
    String text = "[";
    for (const T& value : values) {
      text += (text.size() > 1 ? String(", ") : String()) + toString(value);
    }
    return text + "]";
  }
};

} // namespace doctest

namespace subproc::test {

/// For a command that is not started.
template <class Handle = native_handle_type>
fd numbered_fd(int number) {
  if constexpr (std::is_pointer_v<Handle>) {
    return fd(reinterpret_cast<Handle>(static_cast<std::intptr_t>(number)));
  } else {
    return fd(number);
  }
}

/// The spawn_error that a call throws; a failed check when it throws none.
template <class Call>
spawn_error spawn_error_of(Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const spawn_error& error) {
    return error;
  }
  FAIL("no spawn_error was thrown");
  throw std::logic_error("not reached");
}

} // namespace subproc::test
