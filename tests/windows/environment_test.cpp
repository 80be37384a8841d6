#include "start_support.hpp"

#include <windows/environment_block.hpp>

#include <environ.hpp>

#include <algorithm>

#include <windows.h>

namespace {

using namespace subproc;
using detail::make_environment_block;
using strings = std::vector<std::string>;
using test::fake_variable;
using test::helper;

strings parts(const std::string& block) {
  strings result;
  for (std::size_t begin = 0; begin < block.size() && block[begin] != '\0';) {
    const std::size_t end = block.find('\0', begin);
    result.push_back(block.substr(begin, end - begin));
    begin = end + 1;
  }
  return result;
}

strings block_of(const environment& env) {
  return parts(detail::to_utf8(make_environment_block(env)));
}

bool has(const strings& all, const std::string& one) {
  return std::ranges::find(all, one) != all.end();
}

TEST_SUITE("windows environment") {
  TEST_CASE("windows environment: the block is in the order in which Windows compares") {
    CHECK(make_environment_block({{"b", "2"}, {"C", "3"}, {"_", "u"}, {"A", "1"}}) ==
          std::wstring(L"A=1\0b=2\0C=3\0_=u\0", 17).substr(0, 16) + std::wstring(1, L'\0'));
    CHECK(block_of({{"\xc3\xa4", "2"}, {"z", "="}, {"\xc3\x84", "3"}}) ==
          strings{"z==", "\xc3\x84=3"});
  }

  TEST_CASE("windows environment: of names that differ in case the last wins [K35]") {
    CHECK(block_of({{"Fruit", "1"}, {"x", "y"}, {"FRUIT", "2"}}) == strings{"FRUIT=2", "x=y"});
    const fake_variable inherited(L"SubprocFruit", L"1");
    CHECK(has(block_of(environment::inherit().set("SUBPROCFRUIT", "2")), "SUBPROCFRUIT=2"));
    CHECK_FALSE(has(block_of(environment::inherit().set("SUBPROCFRUIT", "2")), "SubprocFruit=1"));
    CHECK_FALSE(has(block_of(environment::inherit().unset("subprocfruit")), "SubprocFruit=1"));
    CHECK(environment::inherit().get("SUBPROCfruit") == "1");
    CHECK(environment::inherit().set("SUBPROCFRUIT", "2").get("subprocfruit") == "2");
    CHECK(has(environment::inherit().set("SUBPROCFRUIT", "2").resolve(), "SUBPROCFRUIT=2"));
    CHECK_FALSE(has(environment::inherit().unset("SUBPROCFRUIT").resolve(), "SubprocFruit=1"));
  }

  TEST_CASE("windows environment: an empty one is empty, and a child starts with it [K34]") {
    CHECK(make_environment_block({}) == std::wstring(2, L'\0'));
    const strings seen =
        parts(test::output_of(test::plan_of(command(helper("arguments"), "environment").env({}))));
    CHECK_FALSE(has(seen, "PATH"));
    CHECK(std::ranges::none_of(seen, [](const std::string& entry) {
      return entry.starts_with("PATH=") || entry.starts_with("Path=");
    }));
  }

  TEST_CASE("windows environment: a name may begin with the sign, and hold no other [K37]") {
    CHECK(block_of({{"=X:", "X:\\dir"}, {"a", "b=c"}}) == strings{"=X:=X:\\dir", "a=b=c"});
    const fake_variable inherited(L"=X:", L"X:\\dir");
    CHECK(has(block_of(environment::inherit()), "=X:=X:\\dir"));
    CHECK(has(environment::inherit().resolve(), "=X:=X:\\dir"));
    CHECK_FALSE(detail::has_stray_equals("=X:"));
    CHECK(detail::has_stray_equals("A=B"));
    CHECK(detail::has_stray_equals("=A=B"));
    CHECK(detail::has_stray_equals("="));
  }

  TEST_CASE("windows environment: what is inherited is the caller's at the start, unchanged") {
    const environment env = environment::inherit().set("SUBPROC_SET", "\xf0\x9f\x98\x80");
    const fake_variable late(L"SUBPROC_LATE", L"now");
    const fake_variable broken(L"SUBPROC_HALF", L"x\xd83d");
    const std::wstring block = make_environment_block(env);
    CHECK(block.find(std::wstring(L"\0SUBPROC_HALF=x\xd83d\0", 17)) != std::wstring::npos);
    const strings seen =
        parts(test::output_of(test::plan_of(command(helper("arguments"), "environment").env(env))));
    CHECK(has(seen, "SUBPROC_SET=\xf0\x9f\x98\x80"));
    CHECK(has(seen, "SUBPROC_LATE=now"));
    CHECK_FALSE(test::plan_of(command(helper("arguments"))).environment);
  }

  TEST_CASE("windows environment: no letter outside ASCII is one inside it") {
    for (wchar_t outside = 0x80; outside < 0xD800; ++outside) {
      for (wchar_t inside = L'A'; inside <= L'Z'; ++inside) {
        if (detail::same_variable(std::wstring_view(&outside, 1), std::wstring_view(&inside, 1))) {
          FAIL("U+" << static_cast<int>(outside) << " is U+" << static_cast<int>(inside));
        }
      }
    }
    CHECK(detail::same_variable("\xc3\xa4", "\xc3\x84"));
    CHECK(detail::variable_hash("a\xc3\xa4") == detail::variable_hash("A\xc3\x84"));
    CHECK_FALSE(detail::same_variable("a", "b"));
    CHECK_FALSE(detail::same_variable("\xff", "\xfe"));
  }

  TEST_CASE("windows environment: a clean one keeps what programs of the system's need") {
    const fake_variable secret(L"SUBPROC_SECRET", L"x");
    const environment clean = environment::clean();
    CHECK(clean.get("SYSTEMROOT").has_value());
    CHECK(clean.get("path").has_value());
    CHECK_FALSE(clean.get("SUBPROC_SECRET").has_value());
  }
}

} // namespace
