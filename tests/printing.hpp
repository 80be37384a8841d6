#pragma once

// How doctest shows the library's values, and what unit tests share. No process, no loop.

#include <subproc/error.hpp>
#include <subproc/exit_status.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
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
