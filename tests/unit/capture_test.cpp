#include <capture.hpp>

#include "../printing.hpp"

#include <algorithm>
#include <random>

namespace {

using namespace subproc;
using detail::capture;

constexpr std::size_t no_limit = static_cast<std::size_t>(-1);
constexpr overflow policies[] = {overflow::error, overflow::head, overflow::tail,
                                 overflow::head_tail};

// Bytes that tell their place, so that a lost, doubled or moved one shows.
std::string numbered(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>((i * 131 + i / 251) & 0xff);
  }
  return bytes;
}

// What must be kept of a whole stream.
std::string reference(const std::string& all, capture_limit limit) {
  if (limit.policy == overflow::error || all.size() <= limit.bytes) {
    return all;
  }
  switch (limit.policy) {
  case overflow::head:
    return all.substr(0, limit.bytes);
  case overflow::tail:
    return all.substr(all.size() - limit.bytes);
  default:
    const std::size_t tail = limit.bytes / 2;
    return all.substr(0, limit.bytes - tail) + all.substr(all.size() - tail);
  }
}

TEST_SUITE("capture") {
  TEST_CASE("capture: without a limit everything is kept") {
    capture kept;
    const std::string all = numbered(300'000);
    for (std::size_t at = 0; at < all.size(); at += 7'001) {
      kept.append(std::string_view(all).substr(at, 7'001));
    }
    CHECK(kept.received() == all.size());
    CHECK(kept.size() == all.size());
    CHECK(kept.dropped() == 0);
    CHECK_FALSE(kept.over_limit());
    CHECK(kept.view() == all);
    CHECK(kept.take() == all);
  }

  TEST_CASE("capture: the boundary is exact at one below, at and one above the limit [T42]") {
    for (const overflow policy : policies) {
      for (const std::size_t cap : {0UL, 1UL, 2UL, 3UL, 64UL, 65UL}) {
        for (const std::size_t size : {cap == 0 ? 0 : cap - 1, cap, cap + 1}) {
          CAPTURE(static_cast<int>(policy));
          CAPTURE(cap);
          CAPTURE(size);
          const std::string all = numbered(size);
          const std::string expected = reference(all, {cap, policy});
          capture whole({cap, policy});
          whole.append(all);
          capture bytewise({cap, policy});
          for (const char byte : all) {
            bytewise.append({&byte, 1});
          }
          for (capture* kept : {&whole, &bytewise}) {
            CHECK(kept->over_limit() == (policy == overflow::error && size > cap));
            CHECK(kept->received() == size);
            CHECK(kept->dropped() == size - expected.size());
            CHECK(kept->view() == expected);
            CHECK(kept->take() == expected);
          }
        }
      }
    }
  }

  TEST_CASE("capture: with the policy error nothing is lost beyond the limit") {
    capture kept({10, overflow::error});
    const std::string all = numbered(1'000);
    kept.append(std::string_view(all).substr(0, 10));
    CHECK_FALSE(kept.over_limit());
    kept.append(std::string_view(all).substr(10));
    CHECK(kept.over_limit());
    CHECK(kept.dropped() == 0);
    CHECK(kept.take() == all);
  }

  TEST_CASE("capture: once the excess is to be dropped it is, also what came before") {
    const std::string all = numbered(1'000);
    for (const std::size_t before : {0U, 5U, 10U, 11U, 500U}) {
      CAPTURE(before);
      capture kept({10, overflow::error});
      kept.append(std::string_view(all).substr(0, before));
      kept.drop_excess();
      kept.append(std::string_view(all).substr(before));
      CHECK_FALSE(kept.over_limit());
      CHECK(kept.dropped() == 990);
      CHECK(kept.take() == all.substr(0, 10));
    }
    capture tail({10, overflow::tail});
    tail.drop_excess(); // it did so anyway
    tail.append(all);
    CHECK(tail.take() == all.substr(990));
  }

  TEST_CASE("capture: head_tail gives the odd byte to the head") {
    capture kept({5, overflow::head_tail});
    kept.append("abcdefghij");
    CHECK(kept.take() == "abcij");
  }

  TEST_CASE(
      "capture: a multibyte character at the limit is cut by bytes, not dropped whole [T42]") {
    capture head({1, overflow::head});
    head.append("\xc3\xa9");
    CHECK(head.take() == "\xc3");
    capture tail({1, overflow::tail});
    tail.append("\xc3");
    tail.append("\xa9");
    CHECK(tail.take() == "\xa9");
  }

  TEST_CASE("capture: appending nothing changes nothing") {
    for (const overflow policy : policies) {
      capture kept({4, policy});
      kept.append({});
      CHECK(kept.size() == 0);
      CHECK(kept.received() == 0);
      kept.append("abcd");
      kept.append({});
      CHECK(kept.take() == "abcd");
    }
  }

  TEST_CASE("capture: looking at it between appends does not disturb it") {
    for (const overflow policy : policies) {
      capture kept({6, policy});
      std::string all;
      for (char c = 'a'; c <= 'z'; ++c) {
        kept.append({&c, 1});
        all += c;
        REQUIRE(kept.view() == reference(all, {6, policy}));
        REQUIRE(kept.view() == kept.view());
      }
    }
  }

  TEST_CASE("capture: once taken, it holds nothing") {
    for (const overflow policy : policies) {
      CAPTURE(static_cast<int>(policy));
      capture kept({100, policy});
      kept.append(numbered(1'000));
      static_cast<void>(kept.view());
      CHECK_FALSE(kept.take().empty());
      CHECK(kept.size() == 0);
      CHECK(kept.view().empty());
      CHECK(kept.take().empty());
    }
  }

  TEST_CASE("capture: any chunking gives what the whole stream at once gives") {
    std::mt19937 random(20240229);
    const auto below = [&](std::size_t n) {
      return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
    };
    for (int round = 0; round < 4'000; ++round) {
      const overflow policy = policies[below(4)];
      const std::size_t cap = below(10) == 0 ? no_limit : below(200);
      const std::string all = numbered(below(600));
      CAPTURE(round);
      capture kept({cap, policy});
      std::size_t sent = 0;
      while (sent < all.size()) {
        const std::size_t n = std::min(all.size() - sent, below(cap < 100 ? 2 * cap + 3 : 300));
        kept.append(std::string_view(all).substr(sent, n));
        sent += n;
        if (below(8) == 0) {
          REQUIRE(kept.view() == reference(all.substr(0, sent), {cap, policy}));
        }
      }
      const std::string expected = reference(all, {cap, policy});
      REQUIRE(kept.size() == expected.size());
      REQUIRE(kept.dropped() == all.size() - expected.size());
      REQUIRE(kept.take() == expected);
    }
  }

  TEST_CASE("capture: a dropped flood takes no memory") {
    const std::string block(1'000'000, 'x');
    for (const overflow policy : {overflow::head, overflow::tail, overflow::head_tail}) {
      capture kept({1'000, policy});
      for (int i = 0; i < 100; ++i) {
        kept.append(block);
      }
      CHECK(kept.received() == 100'000'000);
      CHECK(kept.size() == 1'000);
      CHECK(kept.take().capacity() < block.size() / 2);
    }
  }
}

} // namespace
