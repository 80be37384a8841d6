#include "fanout/markup.hpp"

#include <doctest/doctest.h>

#include <string>

using fanout::head_of;
using fanout::markup;

TEST_SUITE("fanout_markup") {

  TEST_CASE("fanout_markup: nothing ends an element, an attribute or a script") {
    CHECK(markup("</script><img src=\"x\" onerror='a()'>&amp;") ==
          "&lt;/script&gt;&lt;img src=&quot;x&quot; onerror=&#39;a()&#39;&gt;&amp;amp;");
    CHECK(markup("tab\tnew\nline\r") == "tab\tnew\nline&#13;");
  }

  TEST_CASE("fanout_markup: what XML 1.0 cannot hold is U+FFFD, what it can stays") {
    const std::string no = "\uFFFD";
    CHECK(markup(std::string("a\0b\x1b\x7f", 5)) == "a" + no + "b" + no + "\x7f");
    CHECK(markup("\u00e9\u20ac\U0001f600\uFFFD") == "\u00e9\u20ac\U0001f600\uFFFD");
    CHECK(markup("\xff\x80") == no + no);
    CHECK(markup("\xc0\xaf") == no + no);                                     // overlong
    CHECK(markup("\xe0\x80\xaf") == no + no + no);                            // overlong
    CHECK(markup("\xed\xa0\x80") == no + no + no);                            // a surrogate
    CHECK(markup("\xef\xbf\xbe\xef\xbf\xbf") == no + no + no + no + no + no); // U+FFFE, U+FFFF
    CHECK(markup("\xf4\x90\x80\x80") == no + no + no + no);                   // above U+10FFFF
    CHECK(markup("\xe2\x82") == no + no);                                     // cut off
    CHECK(markup("\xe2"
                 "a") == no + "a");
  }

  TEST_CASE("fanout_markup: a text is not cut within a character") {
    CHECK(head_of("abc", 3) == "abc");
    CHECK(head_of("abc", 2) == "ab");
    CHECK(head_of("a\u20ac", 3) == "a");
    CHECK(head_of("a\u20ac", 4) == "a\u20ac");
    CHECK(head_of("\x80\x80\x80\x80\x80\x80", 5).size() >= 1); // no character at all
  }

} // TEST_SUITE
