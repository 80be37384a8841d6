#pragma once

// What the fuzzers share: choices out of the given bytes, and how a finding ends the program.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#define HOLDS(...)                                                                                 \
  ((__VA_ARGS__) ? void() : subproc::fuzz::broken(#__VA_ARGS__, __FILE__, __LINE__))

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace subproc::fuzz {

[[noreturn]] inline void broken(const char* what, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
  std::abort();
}

/// The bytes of one run, taken from the front. When they have run out every choice is 0.
class choices {
public:
  choices(const std::uint8_t* data, std::size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }

  std::size_t below(std::size_t n) {
    const std::string byte = bytes(1);
    return byte.empty() ? 0 : static_cast<unsigned char>(byte[0]) % n;
  }

  bool flip() { return below(2) != 0; }

  std::string bytes(std::size_t most) {
    const std::string taken(rest_.substr(0, most));
    rest_.remove_prefix(taken.size());
    return taken;
  }

  std::string rest() { return bytes(rest_.size()); }

  /// The rest, cut at each of these bytes.
  std::vector<std::string> fields(char separator) {
    std::vector<std::string> all;
    while (!empty()) {
      all.push_back(bytes(rest_.find(separator)));
      bytes(1);
    }
    return all;
  }

private:
  std::string_view rest_;
};

} // namespace subproc::fuzz
