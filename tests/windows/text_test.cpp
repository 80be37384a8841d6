#include <windows/start_plan.hpp>
#include <windows/text.hpp>

#include "../printing.hpp"

#include <subproc/command.hpp>

#include <filesystem>
#include <string>
#include <system_error>

namespace {

using subproc::detail::to_utf8;
using subproc::detail::to_wide;

bool refused(std::string_view utf8) {
  try {
    to_wide(utf8);
    return false;
  } catch (const subproc::system_error& error) {
    return error.code() == std::errc::illegal_byte_sequence;
  }
}

bool refused(std::wstring_view text) {
  try {
    to_utf8(text);
    return false;
  } catch (const subproc::system_error& error) {
    return error.code() == std::errc::illegal_byte_sequence;
  }
}

TEST_SUITE("windows text") {
  TEST_CASE("windows text: UTF-8 is UTF-16 there and back") {
    CHECK(to_wide("") == L"");
    CHECK(to_wide("aA\t\n\x7f") == L"aA\t\n\x7f");
    CHECK(to_wide("\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf") == L"\x0080\x07ff\x0800\xffff");
    CHECK(to_wide("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf") == L"\xd800\xdc00\xdbff\xdfff");
    CHECK(to_wide(std::string_view("a\0b", 3)) == std::wstring(L"a\0b", 3));
    for (const wchar_t* text : {L"", L"x", L"\x00e4\x20ac", L"\xd83d\xde00!"}) {
      CHECK(to_wide(to_utf8(text)) == text);
    }
  }

  TEST_CASE("windows text: what is no UTF-8 is refused, never mended") {
    for (const std::string_view text : {"\x80",
                                        "\xbf",
                                        "a\xff",
                                        "\xfe",
                                        "\xc0\x80",
                                        "\xc1\xbf",
                                        "\xe0\x80\x80",
                                        "\xe0\x9f\xbf",
                                        "\xf0\x80\x80\x80",
                                        "\xf0\x8f\xbf\xbf",
                                        "\xed\xa0\x80",
                                        "\xed\xbf\xbf",
                                        "\xed\xa0\xbd\xed\xb8\x80",
                                        "\xf4\x90\x80\x80",
                                        "\xf8\x88\x80\x80\x80",
                                        "\xc3",
                                        "\xe2\x82",
                                        "\xf0\x9f\x98",
                                        "a\xc3 b",
                                        "\xe2\x28\xa1"}) {
      CAPTURE(text);
      CHECK(refused(text));
    }
  }

  TEST_CASE("windows text: half a character is refused") {
    CHECK(refused(L"\xd83d"));
    CHECK(refused(L"\xde00"));
    CHECK(refused(L"\xde00\xd83d"));
    CHECK(refused(L"a\xd83d"
                  L"b"));
  }

  TEST_CASE("windows text: a path is an argument in UTF-8") {
    const std::filesystem::path path(L"C:\\x\x00e4");
    const subproc::command cmd = subproc::command(path, path).cwd(path).executable(path);
    CHECK(cmd.args() == std::vector<std::string>(2, "C:\\x\xc3\xa4"));
    CHECK(cmd.cwd() == "C:\\x\xc3\xa4");
    CHECK(cmd.executable() == "C:\\x\xc3\xa4");
    CHECK(subproc::file(path).path == "C:\\x\xc3\xa4");
  }

  TEST_CASE("windows text: a path that holds half a character is refused by the start") {
    const std::filesystem::path half(L"C:\\x\xd83d");
    for (const subproc::command& cmd : {subproc::command("cmd.exe", half), subproc::command(half),
                                        subproc::command("cmd.exe").cwd(half)}) {
      const subproc::spawn_error error =
          subproc::test::spawn_error_of([&] { subproc::detail::make_start_plan(cmd); });
      CHECK(error.code() == std::errc::invalid_argument);
      CHECK(std::string(error.what()).find("is no valid UTF-8") != std::string::npos);
    }
    CHECK(subproc::command(half) != subproc::command(std::filesystem::path(L"C:\\x\xd83e")));
  }
}

} // namespace
