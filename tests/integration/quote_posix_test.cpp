#include <subproc/quote.hpp>

#include "../children.hpp"

#include <subproc/run.hpp>

#include <random>

namespace {

using namespace subproc;
using namespace subproc::test;

TEST_SUITE("quote") {
  TEST_CASE("quote: a shell takes joined words apart into the same words [K152]") {
    const leak_check leaks;
    std::mt19937 random(3);
    for (int round = 0; round < 8; ++round) {
      std::vector<std::string> words{"printf", "%s\\0",    "",       "~",
                                     "it's",   "\xc3\xa9", "a\nb\n", "-n"};
      std::string want;
      while (words.size() < 500) {
        std::string& word = words.emplace_back(random() % 20, '\0');
        for (char& byte : word) {
          byte = static_cast<char>(1 + random() % 255);
        }
      }
      for (std::size_t i = 2; i < words.size(); ++i) {
        want += words[i] + '\0';
      }
      REQUIRE(check_output({"sh", "-c", join(words)}) == want);
    }
  }
}

} // namespace
