#pragma once

// What the ways share in which the soak starts children.

#include <subproc/command.hpp>

#include "support.hpp"

#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace soak {

inline void require(bool holds, const char* what) {
  if (!holds) {
    throw std::runtime_error(what);
  }
}

inline subproc::command steps(const std::vector<std::string>& what) {
  std::vector<std::string> args{subproc::test::helper("steps")};
  args.insert(args.end(), what.begin(), what.end());
  return subproc::command(args);
}

class dice {
public:
  explicit dice(unsigned seed) : random_(seed) {}

  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }
  bool chance() { return below(2) == 0; }
  std::string text() { return std::string(below(8) == 0 ? below(300'000) : below(3000), 'x'); }

private:
  std::mt19937 random_;
};

} // namespace soak
